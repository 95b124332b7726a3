"""The guest's links as its description wants them, in QEMU's terms."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from emulator.boot import bridge
from emulator.model.instance import Instance
from emulator.model.network import Interface

METADATA_ADDRESS = "169.254.169.254"
# Routers in it are QEMU's own.
METADATA_NETWORK = ipaddress.IPv4Network("169.254.0.0/16")
NAME_SERVER = "169.254.1.3"
# Locally administered, for a description that names no interface.
DEFAULT_MAC = "52:54:00:12:34:56"


class Segment(msgspec.Struct, frozen=True):
    """One Ethernet: the MAC addresses of the guest's cards on it."""

    macs: tuple[str, ...]


class Door(msgspec.Struct, frozen=True):
    """An address at which the server is found, and the program that takes one connection there."""

    address: str
    bridge: tuple[str, ...]


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """All links of a guest.

    The first of ``segments`` carries the ``doors``. ``neighbour`` are the two descriptors between
    which a ``Neighbour`` stands, those of the cards and of the user network; None without one.
    ``ssh`` is a port on the host's loopback, 0 for none. ``internet`` lets the guest out, and to
    the host's loopback.
    """

    segments: tuple[Segment, ...]
    doors: tuple[Door, ...]
    neighbour: tuple[int, int] | None = None
    internet: bool = False
    ssh: int = 0


def segments(instance: Instance) -> tuple[Segment, ...]:
    """Give one segment for each physical interface; those of one bond share theirs."""
    macs = {link.name: link.mac for link in instance.interfaces if link.type == "physical"}
    found = (Segment(tuple(macs[name] for name in names)) for names in _together(instance))
    return tuple(found) or (Segment((DEFAULT_MAC,)),)


def gateways(instance: Instance) -> tuple[str, ...]:
    """Give the IPv4 routers that the guest will look for where the metadata address is.

    QEMU's user network answers for its own addresses only, so a guest with a static address would
    find no router, and through it no metadata address.
    """
    found = {text for link in _first(instance) for text in _routers(link)}
    return tuple(sorted(found, key=ipaddress.IPv4Address))


def gets_address(instance: Instance) -> bool:
    """Tell whether the guest asks DHCP for an address where the metadata address is.

    QEMU forwards to that address alone.
    """
    links = _first(instance)
    # A description without interfaces leaves the network to cloud-init, which uses DHCP.
    return not links or any("dhcp4" in link.addresses for link in links)


def holding(addresses: Iterable[str]) -> ipaddress.IPv4Network:
    """Give the smallest network that holds ``addresses`` and the one of the metadata address.

    QEMU's user network takes connections for addresses in itself only.
    """
    network = METADATA_NETWORK
    for text in addresses:
        while ipaddress.IPv4Address(text) not in network:
            network = network.supernet()
    return network


def bridge_command(socket: str) -> tuple[str, ...]:
    """Give the program that takes one connection to the server at ``socket``.

    Isolated and without site: the guest waits for the interpreter on every connection.
    """
    interpreter = str(Path(sys.executable).resolve())
    return (interpreter, "-I", "-S", str(Path(bridge.__file__).resolve()), socket)


def _first(instance: Instance) -> list[Interface]:
    """Give the links of the first Ethernet: an interface, or a bond and its members."""
    first = set(next(_together(instance), ()))
    return [
        link
        for link in instance.interfaces
        if link.name in first or (link.bond is not None and set(link.bond.links) & first)
    ]


def _together(instance: Instance) -> Iterator[tuple[str, ...]]:
    """Give the names of the physical interfaces, those of one bond together, in their order."""
    left = [link.name for link in instance.interfaces if link.type == "physical"]
    bonds = [link.bond.links for link in instance.interfaces if link.bond is not None]
    while left:
        members = next((links for links in bonds if left[0] in links), (left[0],))
        together = tuple(name for name in left if name in members)
        left = [name for name in left if name not in members]
        yield together


def _routers(link: Interface) -> Iterator[str]:
    for text in (*link.gateways, *(route.via for route in link.routes)):
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address) and address not in METADATA_NETWORK:
            yield str(address)
