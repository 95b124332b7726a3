"""What a described machine's network comes to: links, and the addresses and routes on each.

Dialects say the same network in different words (contract 1.5, 1.7, 2.1); what there is to say
is found here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

import msgspec

from emulator.model.instance import Instance, Interface

Address = IPv4Address | IPv6Address
Host = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

ANYWHERE: dict[int, Network] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}

# The words of ``Interface.addresses`` that are not addresses, and their IP version.
METHODS = {"dhcp4": 4, "dhcp6": 6, "slaac": 6, "dhcpv6-stateful": 6, "dhcpv6-stateless": 6}


class Hop(msgspec.Struct, frozen=True):
    """A route: where to, through which gateway; metric 0 leaves it to the guest."""

    network: Network
    gateway: Address
    metric: int = 0


class Subnet(msgspec.Struct, frozen=True):
    """One address of a link (``method`` is ``static``), or one way by which it gets some.

    ``routes`` begin with the default one; each stands in exactly one subnet of its link, as do
    the search domains.
    """

    method: str
    version: int
    address: Host | None = None
    routes: tuple[Hop, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """An interface of a complete instance (see ``derive``), with its addresses sorted out."""

    id: str
    type: str
    mac: str
    interface: Interface
    subnets: tuple[Subnet, ...] = ()


def links(instance: Instance) -> tuple[Link, ...]:
    """Give the links of ``instance`` in the order of its interfaces."""
    return tuple(
        Link(
            id=interface.name,
            type=interface.type,
            mac=interface.mac,
            interface=interface,
            subnets=_subnets(interface),
        )
        for interface in instance.interfaces
    )


def name_servers(instance: Instance) -> tuple[str, ...]:
    """Give every name server of ``instance``, each once."""
    return tuple(dict.fromkeys(dns for nic in instance.interfaces for dns in nic.dns))


def local_addresses(instance: Instance, version: int) -> tuple[str, ...]:
    """Give the machine's addresses of an IP version: those described, else those it asks from."""
    described = [
        str(subnet.address.ip)
        for link in links(instance)
        for subnet in link.subnets
        if subnet.address is not None and subnet.version == version
    ]
    return tuple(described or _of_version(instance.peer.addresses, version))


def public_addresses(instance: Instance, version: int) -> tuple[str, ...]:
    """Give the addresses of an IP version by which others reach the machine."""
    published = (address for nic in instance.interfaces for address in nic.public_addresses)
    return tuple(_of_version(published, version))


def _of_version(addresses: Iterable[str], version: int) -> Iterator[str]:
    return (address for address in addresses if ip_address(address).version == version)


def _subnets(interface: Interface) -> tuple[Subnet, ...]:
    subnets = [_subnet(address, interface) for address in interface.addresses]
    if subnets:
        subnets[0] = msgspec.structs.replace(subnets[0], search=interface.search)
    for hop in _hops(interface):
        place = _carrier(hop, subnets)
        if place is not None:
            found = subnets[place]
            subnets[place] = msgspec.structs.replace(found, routes=(*found.routes, hop))
    return tuple(subnets)


def _subnet(address: str, interface: Interface) -> Subnet:
    host = None if address in METHODS else ip_interface(address)
    version = METHODS[address] if host is None else host.version
    return Subnet(
        method="static" if host else address,
        version=version,
        address=host,
        dns=tuple(_of_version(interface.dns, version)),
    )


def _hops(interface: Interface) -> Iterator[Hop]:
    for gateway in map(ip_address, interface.gateways):
        yield Hop(ANYWHERE[gateway.version], gateway)
    for route in interface.routes:
        yield Hop(ip_network(route.to, strict=False), ip_address(route.via), route.metric)


def _carrier(hop: Hop, subnets: list[Subnet]) -> int | None:
    """Find the subnet whose network holds the gateway, else the first of the gateway's version."""
    alike = [n for n, subnet in enumerate(subnets) if subnet.version == hop.gateway.version]
    for place in alike:
        address = subnets[place].address
        if address is not None and hop.gateway in address.network:
            return place
    return alike[0] if alike else None


class Card(msgspec.Struct, frozen=True):
    """A network card: a physical interface, and with it the bond whose address it lends."""

    number: int
    interface: Interface
    bearers: tuple[Interface, ...]

    def hosts(self, version: int) -> tuple[Host, ...]:
        """Give its static addresses of an IP version."""
        texts = (text for link in self.bearers for text in link.addresses if text not in METHODS)
        found = (ip_interface(text) for text in texts)
        return tuple(host for host in found if host.version == version)

    def locals(self, version: int, instance: Instance) -> tuple[str, ...]:
        """Give its addresses; where the first card has none described, those it asks from."""
        described = tuple(str(host.ip) for host in self.hosts(version))
        if described or self.number or instance.peer.addresses == ():
            return described
        known = local_addresses(instance, version)
        return known if set(known) <= set(instance.peer.addresses) else ()

    def local(self, version: int, instance: Instance) -> str:
        """Give the first of ``locals``, empty if there is none."""
        return next(iter(self.locals(version, instance)), "")


def cards(instance: Instance) -> tuple[Card, ...]:
    """Give the cards of ``instance`` in the order of its interfaces."""
    found = [link for link in instance.interfaces if link.type == "physical"]
    return tuple(
        Card(
            number,
            card,
            tuple(
                link
                for link in instance.interfaces
                if link is card or (link.type == "bond" and link.mac == card.mac)
            ),
        )
        for number, card in enumerate(found)
    )
