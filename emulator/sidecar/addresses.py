"""The addresses at which a guest asks, and the device of the pod that has them."""

from __future__ import annotations

from collections.abc import Iterable

METADATA = ("169.254.169.254", "fd00:ec2::254", "fe80::a9fe:a9fe")
"""Where all clients ask: IPv4, EC2's IPv6 address, and one that a guest without router has."""

DEVICE = "imds0"
"""The server's end of the cable; it has the addresses, and nothing else uses it."""

PORT = 80

_LINK_LOCAL = "fe80:"


def versions(addresses: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split ``addresses`` into those of IPv4 and those of IPv6."""
    given = tuple(addresses)
    return tuple(a for a in given if ":" not in a), tuple(a for a in given if ":" in a)


def host(address: str) -> str:
    """Give what to bind to: a link-local address needs the name of its device."""
    return f"{address}%{DEVICE}" if address.startswith(_LINK_LOCAL) else address
