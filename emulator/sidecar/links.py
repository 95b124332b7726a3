"""The links of the pod's network namespace, by netlink: looked at, waited for, and plumbed.

Everything is done as if for the first time, and what is there already counts as done: a sidecar
that starts again finds its device with the hardware address that the guest knows.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from emulator.errors import StartError
from emulator.sidecar import nft
from emulator.sidecar.addresses import DEVICE, versions
from emulator.sidecar.bridges import Link, Way
from emulator.sidecar.ruleset import MAC, PLUG, cable, guard

TABLE = 16925
"""The routing table of what comes from our addresses: all of it goes to the guest."""

OURS, LOCAL = 100, 101
"""Preferences of routing rules: what comes from our addresses, then the pod's own addresses."""

_LOCAL_TABLE = 255
_LINK_CHANGES = 1  # RTMGRP_LINK
_UP = 1  # IFF_UP
_HOST, _ON_LINK = 254, 253  # scopes of addresses and routes
_NO_DETECTION = 2  # IFA_F_NODAD: usable at once; nobody else can have it
_FOR_EVER = 0xFFFFFFFF
_NO_ADDRESSES = 1  # IN6_ADDR_GEN_MODE_NONE


class Bell:
    """Rings when a link of this network namespace changes."""

    def __init__(self) -> None:
        """Listen from now on."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, _LINK_CHANGES))
        self._socket.settimeout(0)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait until it rings, or that long; say whether it rang."""
        rang = False
        while self._poll.poll(0 if rang else max(seconds, 0) * 1000):
            rang = True
            try:
                self._socket.recv(1 << 16)
            except OSError as error:
                # Too much to keep: it rang, and what has changed is looked up anyway.
                if error.errno != errno.ENOBUFS:
                    raise
        return rang

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Links:
    """What can be seen and done with the links; needs CAP_NET_ADMIN for the latter."""

    def __init__(self) -> None:
        """Open the way to the kernel; raise ``StartError`` without the library for it."""
        try:
            from pyroute2 import IPRoute
            from pyroute2.netlink.exceptions import NetlinkError
        except ImportError as error:
            wanted = "pip install 'imds-emulator[network]'"
            raise StartError(f"plumbing needs the package pyroute2: {wanted}") from error

        self._route = IPRoute()
        self._refused: type[Exception] = NetlinkError

    def close(self) -> None:
        """Close it."""
        self._route.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def all(self) -> tuple[Link, ...]:
        """Give all links as they are now."""
        return tuple(map(_link, self._route.get_links()))

    def plumb(self, way: Way, addresses: Iterable[str]) -> tuple[str, ...]:
        """Lead what the guest asks at ``addresses`` here; give those that the pod can have.

        A pod without IPv6 has no IPv6 addresses. Raises ``StartError``.
        """
        given = tuple(addresses)
        index = self._device(way.tap.mtu)
        # Before there is an address that somebody could reach.
        nft.load(cable(given, way.tap.name) + guard(given))
        had = tuple(address for address in given if self._address(index, address))
        for family, group in zip((socket.AF_INET, socket.AF_INET6), versions(had), strict=True):
            if group:
                self._ahead_of_local(family, group)
                self._routes(index, family, group)
        return had

    def _device(self, mtu: int) -> int:
        """Make the server's device and its other end; give its index."""
        with self._step(f"make the device {DEVICE}", errno.EEXIST):
            peer = {"ifname": PLUG, "mtu": mtu}
            self._route.link("add", ifname=DEVICE, kind="veth", address=MAC, mtu=mtu, peer=peer)
        index = {link.name: link.index for link in self.all() if link.kind == "veth"}
        if not {DEVICE, PLUG} <= index.keys():
            raise StartError(f"the pod has an {DEVICE} of somebody else's")
        # They would talk of themselves.
        silent: dict[str, Any] = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _NO_ADDRESSES]]}
        for name in (DEVICE, PLUG):
            with self._step(f"keep {name} without addresses", errno.EAFNOSUPPORT):
                family = {"attrs": [["AF_INET6", silent]]}
                self._route.link("set", index=index[name], IFLA_AF_SPEC=family)
            with self._step(f"switch {name} on"):
                self._route.link("set", index=index[name], state="up", mtu=mtu)
        return index[DEVICE]

    def _address(self, index: int, address: str) -> bool:
        """Give the device an address that nothing of the pod chooses by itself."""
        if ":" not in address:
            # Not of scope host: where the node has arp_announce set, as for IPVS, and pods inherit
            # it, the device would ask for the guest in the name of another's address.
            with self._step(f"give {DEVICE} the address {address}", errno.EEXIST):
                self._route.addr("add", index=index, address=address, prefixlen=32, scope=_ON_LINK)
            return True
        had = True
        lives = {"ifa_preferred": 0, "ifa_valid": _FOR_EVER, "cstamp": 0, "tstamp": 0}
        try:
            self._route.addr(
                "add",
                index=index,
                address=address,
                prefixlen=128,
                IFA_FLAGS=_NO_DETECTION,
                IFA_CACHEINFO=lives,
            )
        except self._refused as error:
            code = getattr(error, "code", 0)
            # Switched off for the pod, and not in the kernel at all.
            had = code not in {errno.EACCES, errno.EAFNOSUPPORT, errno.EOPNOTSUPP}
            if had and code != errno.EEXIST:
                raise _failed(f"give {DEVICE} the address {address}", code) from error
        return had

    def _ahead_of_local(self, family: int, addresses: Iterable[str]) -> None:
        """Route what comes from ``addresses`` before the pod's own addresses are looked at.

        With bridge binding the pod still holds the guest's address, and would keep to itself what
        is for the guest, and believe nothing that comes from it.
        """
        add: Callable[..., object] = self._route.rule
        with self._step("move the rule of local addresses", errno.EEXIST):
            add("add", family=family, priority=LOCAL, table=_LOCAL_TABLE)
        for address in addresses:
            with self._step(f"route what comes from {address}", errno.EEXIST):
                bits = 128 if family == socket.AF_INET6 else 32
                source = {"src": address, "src_len": bits}
                add("add", family=family, priority=OURS, table=TABLE, **source)
        with self._step("move the rule of local addresses", errno.ENOENT):
            add("del", family=family, priority=0, table=_LOCAL_TABLE)

    def _routes(self, index: int, family: int, addresses: Iterable[str]) -> None:
        """Lead what comes from our addresses to the guest, but for ourselves and loopback."""
        own = {"type": "local", "table": TABLE, "scope": _HOST}
        loopback = self._route.link_lookup(ifname="lo")[0]
        v6 = family == socket.AF_INET6
        to = dict.fromkeys(addresses, index) | ({} if v6 else {"127.0.0.0/8": loopback})
        for destination, device in to.items():
            with self._step(f"route {destination}"):
                self._route.route("replace", family=family, dst=destination, oif=device, **own)
        everything = "::/0" if v6 else "0.0.0.0/0"
        route = {"oif": index, "table": TABLE, "scope": _ON_LINK}
        with self._step("route to the guest"):
            self._route.route("replace", family=family, dst=everything, **route)

    @contextmanager
    def _step(self, what: str, done: int = 0) -> Iterator[None]:
        """Do ``what``; the error ``done`` says that it has been done already, or need not be."""
        try:
            yield
        except self._refused as error:
            code = getattr(error, "code", 0)
            if code != done:
                raise _failed(what, code) from error


def _failed(what: str, code: int) -> StartError:
    why = os.strerror(code)
    if code == errno.EPERM:
        why += "; the container needs the capability NET_ADMIN"
    return StartError(f"cannot {what}: {why}")


def _link(message: Mapping[str, Any]) -> Link:
    information = message.get("linkinfo")
    return Link(
        index=message["index"],
        name=message.get("ifname") or "",
        kind=(information.get("kind") if information else None) or "",
        up=bool(message["flags"] & _UP),
        master=message.get("master") or 0,
        mtu=message.get("mtu") or 0,
    )
