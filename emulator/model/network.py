"""A machine's network interfaces, in the one vocabulary's words (see ``instance``)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

AUTOMATIC = ("dhcp4", "dhcp6", "slaac", "dhcpv6-stateful", "dhcpv6-stateless")
"""What may stand among ``Interface.addresses`` beside static ones."""

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_PATTERN = rf"^{_LABEL}(\.{_LABEL})*$"
HOST_WORDS = (
    "letters, digits and inner hyphens, at most 63 in each part between dots, at most 253 in all"
)
_LINK_WORDS = "1 to 15 letters, digits, '_', '.' or '-', starting with a letter"

ADDRESS_WORDS = "an IPv4 or IPv6 address without prefix length"
STATIC_WORDS = (
    f"an address with its prefix length (192.0.2.7/24), or one of {', '.join(AUTOMATIC)}"
)
NETWORK_WORDS = "a network with its prefix length and no host bits (198.51.100.0/24)"

LinkName = Annotated[
    str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$", extra={"allowed": _LINK_WORDS})
]
Address = Annotated[str, Meta(extra={"allowed": ADDRESS_WORDS})]
Domain = Annotated[str, Meta(max_length=253, pattern=HOST_PATTERN, extra={"allowed": HOST_WORDS})]


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the vocabulary's types: immutable, named arguments, nothing unknown.

    Values hold no cycles, so the collector need not look at them: there may be thousands.
    """


class Route(Value, frozen=True):
    """A route beyond the default one."""

    to: Annotated[str, Meta(description="Destination.", extra={"allowed": NETWORK_WORDS})]
    via: Annotated[Address, Meta(description="Gateway, in one of the interface's networks.")]
    metric: Annotated[
        int, Meta(ge=0, le=2**32 - 1, description="Metric; 0 leaves it to the guest.")
    ] = 0


class Bond(Value, frozen=True):
    """Interfaces that act as one."""

    links: Annotated[
        tuple[LinkName, ...],
        Meta(min_length=1, max_length=64, description="Names of the member interfaces."),
    ]
    mode: Annotated[
        Literal[
            "balance-rr",
            "active-backup",
            "balance-xor",
            "broadcast",
            "802.3ad",
            "balance-tlb",
            "balance-alb",
        ],
        Meta(description="Linux bonding mode."),
    ] = "active-backup"
    miimon: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="Link check interval, milliseconds.")
    ] = 100
    xmit_hash_policy: Annotated[
        Literal["", "layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"],
        Meta(description="Transmit hash policy, for modes that use one; empty: the guest's own."),
    ] = ""


class Vlan(Value, frozen=True):
    """A tagged network on another interface."""

    link: Annotated[LinkName, Meta(description="Name of the interface that carries it.")]
    id: Annotated[int, Meta(ge=1, le=4094, description="VLAN identifier.")]


class Interface(Value, frozen=True):
    """A network interface as the guest should configure it."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^([A-Za-z][A-Za-z0-9_.-]{0,14})?$",
            extra={"allowed": _LINK_WORDS},
            description="Its name; required for a bond or VLAN, by default `eth0`, `eth1`, ... in "
            "the order of the physical ones.",
        ),
    ] = ""
    mac: Annotated[
        str,
        Meta(
            pattern=r"^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})?$",
            extra={"allowed": "a MAC address such as 52:54:00:12:34:56"},
            description="MAC address, kept in lower case; required for a physical interface. A "
            "bond takes its first member's, a VLAN its link's.",
        ),
    ] = ""
    mtu: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            extra={"allowed": "68 to 65535 bytes, or 0"},
            description="MTU, bytes; 0 leaves it to DHCP or the guest.",
        ),
    ] = 0
    addresses: Annotated[
        tuple[Annotated[str, Meta(extra={"allowed": STATIC_WORDS})], ...],
        Meta(
            max_length=256,
            description="Static addresses, and how others are got. Members of a bond have none.",
        ),
    ] = ("dhcp4",)
    gateways: Annotated[
        tuple[Address, ...],
        Meta(
            max_length=2,
            description="Default gateways, at most one of each family, each in one of the "
            "interface's networks or a link-local IPv6 address.",
        ),
    ] = ()
    routes: Annotated[tuple[Route, ...], Meta(max_length=256, description="Further routes.")] = ()
    dns: Annotated[
        tuple[Address, ...], Meta(max_length=16, description="Addresses of name servers.")
    ] = ()
    search: Annotated[
        tuple[Domain, ...], Meta(max_length=32, description="DNS search domains.")
    ] = ()
    bond: Annotated[Bond | None, Meta(description="Makes it a bond.")] = None
    vlan: Annotated[Vlan | None, Meta(description="Makes it a VLAN.")] = None
    public_addresses: Annotated[
        tuple[Address, ...],
        Meta(
            max_length=256,
            description="Addresses by which others reach it (NAT, floating IP).",
        ),
    ] = ()

    @property
    def type(self) -> Literal["physical", "bond", "vlan"]:
        """What kind of link it is."""
        return "bond" if self.bond else "vlan" if self.vlan else "physical"
