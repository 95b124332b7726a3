"""Rules for interfaces: what no guest could configure is refused while somebody can still act."""

from __future__ import annotations

import re
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

from emulator.model.instance import Instance
from emulator.model.mistake import Mistake, again, numbered
from emulator.model.network import ADDRESS_WORDS, AUTOMATIC, NETWORK_WORDS, STATIC_WORDS, Interface
from emulator.model.rules_links import links

Address = IPv4Address | IPv6Address
Static = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

_CIDR = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
_NO_NETWORK = "an address in a network that a static address of the interface names"
_AUTOMATIC6 = frozenset(AUTOMATIC) - {"dhcp4"}
_LEAST_MTU = 68  # RFC 791, 3.2
_LEAST_MTU6 = 1280  # RFC 8200, 5
_SERVICE = ("169.254.169.254", "fd00:ec2::254")


def interfaces(instance: Instance, written: frozenset[str]) -> Iterator[Mistake]:
    """Check all interfaces, each by itself and all together."""
    yield from links(instance.interfaces, written)
    for index, link in enumerate(instance.interfaces):
        path = f"interfaces[{index}]"
        yield from _mac(path, link)
        yield from _mtu(path, link)
        yield from _addresses(path, link)
        yield from _gateways(path, link)
        yield from _routes(path, link)
        for field in ("dns", "public_addresses"):
            for at, address in enumerate(getattr(link, field)):
                yield from address_mistake(f"{path}.{field}[{at}]", address)
    yield from _unique(instance.interfaces)


def address_mistake(path: str, text: str) -> Iterator[Mistake]:
    """Give the mistake at ``path`` if ``text`` is not an address."""
    if _parsed(text) is None:
        yield Mistake.at(path, text, ADDRESS_WORDS)


def _mac(path: str, link: Interface) -> Iterator[Mistake]:
    if not link.mac:
        if link.type == "physical":
            allowed = "a MAC address: the guest finds the interface by it"
            yield Mistake(f"{path}.mac", "nothing", allowed)
    elif int(link.mac[:2], 16) & 1 or not int(link.mac.replace(":", ""), 16):
        allowed = "a unicast MAC address (its first byte even, and not all zero)"
        yield Mistake.at(f"{path}.mac", link.mac, allowed)


def _mtu(path: str, link: Interface) -> Iterator[Mistake]:
    if 0 < link.mtu < _LEAST_MTU:
        yield Mistake(f"{path}.mtu", f"the number {link.mtu}", "68 to 65535 bytes, or 0")
    elif link.mtu and link.mtu < _LEAST_MTU6 and any(map(_is_ipv6, link.addresses)):
        allowed = f"at least {_LEAST_MTU6} bytes on an interface with IPv6"
        yield Mistake(f"{path}.mtu", f"the number {link.mtu}", allowed)


def _is_ipv6(address: str) -> bool:
    return ":" in address or address in _AUTOMATIC6


def _addresses(path: str, link: Interface) -> Iterator[Mistake]:
    for index, text in enumerate(link.addresses):
        if text not in AUTOMATIC:
            yield from _static(f"{path}.addresses[{index}]", text)
    automatic = [a for a in link.addresses if a in _AUTOMATIC6]
    if len(automatic) > 1:
        found = " and ".join(automatic)
        yield Mistake(f"{path}.addresses", found, "one way to get IPv6 addresses")
    if link.addresses.count("dhcp4") > 1:
        yield Mistake(f"{path}.addresses", "dhcp4 again", "dhcp4 once")


def _static(path: str, text: str) -> Iterator[Mistake]:
    host = _host(text)
    if host is None:
        yield Mistake.at(path, text, STATIC_WORDS)
    elif str(host.ip) in _SERVICE:
        yield Mistake.at(path, text, "an address that is not the metadata service's own")
    elif _not_a_host(host):
        allowed = f"the address of one host in {host.network} (its host bits say which)"
        yield Mistake.at(path, text, allowed)


def _not_a_host(host: Static) -> bool:
    """Say whether an address stands for a network, all its hosts, a group, itself, or nobody."""
    net = host.network
    if host.ip.is_multicast or host.ip.is_loopback or host.ip.is_unspecified:
        return True
    # The last two prefixes have no network or broadcast address (RFC 3021, RFC 6164).
    if net.prefixlen >= net.max_prefixlen - 1:
        return False
    if host.ip == net.network_address:
        return True
    return isinstance(host, IPv4Interface) and host.ip == host.network.broadcast_address


def _gateways(path: str, link: Interface) -> Iterator[Mistake]:
    versions = []
    for index, text in enumerate(link.gateways):
        where = f"{path}.gateways[{index}]"
        gateway = _parsed(text)
        if gateway is None:
            yield Mistake.at(where, text, ADDRESS_WORDS)
        elif gateway.version in versions:
            found = f"{text}, another of IPv{gateway.version}"
            yield Mistake(where, found, "one default gateway of each family")
        else:
            versions.append(gateway.version)
            yield from _reachable(where, gateway, link)


def _reachable(path: str, gateway: Address, link: Interface) -> Iterator[Mistake]:
    """Refuse a gateway that the interface has no network for."""
    hosts = [host for host in map(_host, link.addresses) if host is not None]
    if isinstance(gateway, IPv6Address) and gateway.is_link_local:
        return
    if any(gateway == host.ip for host in hosts):
        yield Mistake.at(path, str(gateway), "another address than the interface's own")
    elif not any(gateway in host.network for host in hosts):
        networks = [str(h.network) for h in hosts if h.version == gateway.version]
        allowed = f"an address in {' or '.join(networks)}" if networks else _NO_NETWORK
        yield Mistake.at(path, str(gateway), allowed)


def _routes(path: str, link: Interface) -> Iterator[Mistake]:
    for index, route in enumerate(link.routes):
        where = f"{path}.routes[{index}]"
        network, via = _network(route.to), _parsed(route.via)
        if network is None:
            yield Mistake.at(f"{where}.to", route.to, NETWORK_WORDS)
        if via is None:
            yield Mistake.at(f"{where}.via", route.via, ADDRESS_WORDS)
        elif network is not None and network.version != via.version:
            allowed = f"a gateway of IPv{network.version}, like {network}"
            yield Mistake.at(f"{where}.via", route.via, allowed)
        else:
            yield from _reachable(f"{where}.via", via, link)
    ways = (f"{_network(route.to) or route.to} metric {route.metric}" for route in link.routes)
    yield from again(
        numbered(path + ".routes[{}].to", ways), "each destination once with each metric"
    )


def _unique(links: Iterable[Interface]) -> Iterator[Mistake]:
    # A bond may have its member's address, and a VLAN its link's.
    macs = [
        (f"interfaces[{n}].mac", link.mac.lower())
        for n, link in enumerate(links)
        if link.mac and link.type == "physical"
    ]
    yield from again(macs, "each MAC address once among physical interfaces")
    hosts = [
        (f"interfaces[{n}].addresses[{at}]", str(host.ip))
        for n, link in enumerate(links)
        for at, host in enumerate(map(_host, link.addresses))
        if host is not None
    ]
    yield from again(hosts, "each address once")


def _parsed(text: str) -> Address | None:
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _host(text: str) -> Static | None:
    try:
        return ip_interface(text) if _CIDR.fullmatch(text) else None
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ip_network(text) if _CIDR.fullmatch(text) else None
    except ValueError:
        return None
