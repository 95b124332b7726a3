"""Which virtual machine asks: the only one, or told by proxy, socket or address."""

from __future__ import annotations

from collections.abc import Container, Iterable

from tornado.httputil import HTTPHeaders

from emulator.core.policy import Refusal
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies

Found = tuple[Machine, HTTPHeaders]


class Fleet:
    """The machines that are served now. Never changed: a reload makes another."""

    def __init__(self, machines: Iterable[Machine], *, sole: bool, proxies: Proxies) -> None:
        """Index ``machines``; with ``sole`` the first one answers whoever asks."""
        self.machines = tuple(machines)
        self.sole = self.machines[0] if sole and self.machines else None
        self._proxies = proxies
        self._by_uuid = {machine.instance.uuid: machine for machine in self.machines}
        self._by_socket: dict[str, Machine] = {}
        self._by_address: dict[str, Machine] = {}
        for machine in self.machines:
            # Not its interfaces' addresses: those are what it may call itself, and one owner's
            # word must not take another's place. Sources hold these to be each machine's alone.
            for address in machine.instance.peer.addresses:
                self._by_address[plain(address)] = machine
            if machine.instance.peer.socket:
                self._by_socket[machine.instance.peer.socket] = machine

    @property
    def sockets(self) -> frozenset[str]:
        """Paths of the sockets on which single machines ask."""
        return frozenset(self._by_socket)

    def hand_over(self, other: Fleet) -> None:
        """Let who waits for a machine here wait for the same one in ``other``."""
        for machine in self.machines:
            successor = other._by_uuid.get(machine.instance.uuid)
            if successor is not machine:
                machine.hand_over(successor)

    def release(self) -> None:
        """Let nobody wait any longer."""
        for machine in self.machines:
            machine.release()

    def find(self, socket: str, address: str, headers: HTTPHeaders) -> Found | Refusal:
        """Say who asks on ``socket`` (path, empty for TCP) from ``address`` (contract 9.3-1).

        With the machine comes what is left of its headers once a proxy's are taken out.
        """
        address = plain(address)
        if self._proxies and address in self._proxies.addresses:
            return self._proxied(headers)
        machine = self.direct(socket, address)
        return (machine, headers) if machine else Refusal.UNKNOWN_VM

    @property
    def uuids(self) -> Container[str]:
        """The UUIDs of its machines."""
        return self._by_uuid.keys()

    def payer(self, socket: str, address: str) -> str | None:
        """Say on whose account a connection goes: a machine's UUID, or empty for a stranger's.

        None if whoever is at its other end asks for several. Where there is one machine, each
        address has an account: those of a host that probes it are not the guest's.
        """
        address = plain(address)
        if self._proxies and address in self._proxies.addresses:
            return None
        if self.sole is not None:
            return None if socket else address
        machine = self.direct(socket, address)
        if machine is not None:
            return machine.instance.uuid
        return None if socket else ""

    def direct(self, socket: str, address: str) -> Machine | None:
        """Say who asks on ``socket`` from ``address``, in its plain form, if no proxy does."""
        machine = self._by_socket.get(socket) if socket else None
        return machine or self.sole or self._by_address.get(address)

    def _proxied(self, headers: HTTPHeaders) -> Found | Refusal:
        claim = self._proxies.read(headers)
        if isinstance(claim, Refusal):
            return claim
        if claim.uuid:
            machine = self._by_uuid.get(claim.uuid)
            if machine is not None and machine.instance.project != claim.project:
                machine = None
        else:
            machine = self._by_address.get(plain(claim.address))
        return (machine, claim.rest) if machine else Refusal.UNKNOWN_VM


def plain(address: str) -> str:
    """Give one spelling: no scope, no IPv4-in-IPv6 form, lower case."""
    return address.partition("%")[0].lower().removeprefix("::ffff:")
