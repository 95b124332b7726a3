"""The one vocabulary in which a virtual machine is described; every dialect is rendered from it.

Field names are YAML's, annotations' and the templates' alike. Constraints that a type can state
stand here; those between fields stand in ``validate``. Descriptions feed the JSON Schema and the
reference page.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Host = Annotated[
    str,
    Meta(max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*$"),
]
Name = Annotated[str, Meta(max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
Mac = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything below: immutable, named arguments, nothing unknown."""


class Placement(_Value):
    """Where the machine runs, in the words of its cloud."""

    region: Annotated[Text, Meta(description="Region.")] = "local"
    zone: Annotated[str, Meta(description="Availability zone; by default the region with an `a`.")] = ""


class Route(_Value):
    """A route beyond the default one."""

    to: Annotated[str, Meta(description="Destination network, CIDR.")]
    via: Annotated[str, Meta(description="Gateway address.")]
    metric: Annotated[int, Meta(ge=0, description="Metric; 0 leaves it to the guest.")] = 0


class Bond(_Value):
    """Interfaces that act as one."""

    links: Annotated[tuple[str, ...], Meta(min_length=1, description="Names of the member interfaces.")]
    mode: Annotated[
        Literal[
            "balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"
        ],
        Meta(description="Linux bonding mode."),
    ] = "active-backup"
    miimon: Annotated[int, Meta(ge=0, description="Link check interval, milliseconds.")] = 100
    xmit_hash_policy: Annotated[str, Meta(description="Transmit hash policy, for modes that use one.")] = ""


class Vlan(_Value):
    """A tagged network on another interface."""

    link: Annotated[str, Meta(description="Name of the interface that carries it.")]
    id: Annotated[int, Meta(ge=1, le=4094, description="VLAN identifier.")]


class Interface(_Value):
    """A network interface as the guest should configure it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$", description="Its name in this description.")] = ""
    mac: Annotated[str, Meta(description="MAC address; required but for bond and vlan; kept in lower case.")] = ""
    mtu: Annotated[int, Meta(description="MTU, bytes; 0 leaves it to DHCP.")] = 0
    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="Static addresses as CIDR, or `dhcp4`, `dhcp6`, `slaac`, `dhcpv6-stateful`, "
            "`dhcpv6-stateless`."
        ),
    ] = ("dhcp4",)
    gateways: Annotated[tuple[str, ...], Meta(description="Default gateways, at most one of each family.")] = ()
    routes: Annotated[tuple[Route, ...], Meta(description="Further routes.")] = ()
    dns: Annotated[tuple[str, ...], Meta(description="Name server addresses.")] = ()
    search: Annotated[tuple[str, ...], Meta(description="DNS search domains.")] = ()
    bond: Annotated[Bond | None, Meta(description="Makes it a bond.")] = None
    vlan: Annotated[Vlan | None, Meta(description="Makes it a VLAN.")] = None
    public_addresses: Annotated[
        tuple[str, ...], Meta(description="Addresses by which others reach it (NAT, floating IP).")
    ] = ()

    @property
    def type(self) -> Literal["physical", "bond", "vlan"]:
        """What kind of link it is."""
        return "bond" if self.bond else "vlan" if self.vlan else "physical"


class PublicKey(_Value):
    """A public key for logging in."""

    name: Annotated[Text, Meta(description="Name of the key pair.")]
    key: Annotated[str, Meta(description="One `authorized_keys` line without options, or a PEM certificate for x509.")]
    type: Annotated[Literal["ssh", "x509"], Meta(description="Kind of key.")] = "ssh"


class Content(_Value):
    """Bytes from one of three spellings; ``data`` holds them once a source has read them."""

    data: bytes = b""
    template: bool = False


class File(_Value):
    """A file to be put into the guest by OpenStack's personality."""

    path: Annotated[str, Meta(pattern=r"^/", max_length=255, description="Absolute path in the guest.")]
    content: Content


class Token(_Value):
    """A ServiceAccount token that the guest may ask for."""

    audience: Annotated[
        str, Meta(max_length=255, description="Audience; empty for the one that `/v1/token` gives by default.")
    ] = ""
    file: Annotated[
        str, Meta(description="File that holds it, read on each request; empty: the built-in issuer signs one.")
    ] = ""
    lifetime: Annotated[int, Meta(ge=60, le=31_536_000, description="Seconds that an issued token lives.")] = 3600


class Peer(_Value):
    """How the machine is recognised where one server has several."""

    addresses: Annotated[
        tuple[str, ...], Meta(description="Source addresses it asks from; its static addresses count by themselves.")
    ] = ()
    socket: Annotated[str, Meta(description="Unix socket path that only this machine can ask on.")] = ""


class Instance(_Value):
    """One virtual machine. Only ``name`` is needed; ``model.derive`` fills in the rest."""

    name: Annotated[Name, Meta(description="Name of the machine.")]
    namespace: Annotated[Name, Meta(description="Kubernetes namespace, or any group it belongs to.")] = "default"
    hostname: Annotated[str, Meta(description="Host name or FQDN; by default the name.")] = ""
    uuid: Annotated[str, Meta(description="UUID; by default derived from namespace and name.")] = ""
    service_account: Annotated[Name, Meta(description="Its Kubernetes ServiceAccount.")] = "default"
    project: Annotated[str, Meta(description="Project or tenant id; by default derived from the namespace.")] = ""
    placement: Placement = Placement()
    type: Annotated[Text, Meta(description="Instance type (flavor).")] = "standard"
    image: Annotated[Text, Meta(description="Name or id of the image it was made from.")] = "unknown"
    launch_index: Annotated[int, Meta(ge=0, description="Its place among those launched together.")] = 0
    public_keys: tuple[PublicKey, ...] = ()
    tags: dict[str, str] = {}
    meta: dict[str, str] = {}
    security_groups: tuple[str, ...] = ("default",)
    interfaces: tuple[Interface, ...] = ()
    files: tuple[File, ...] = ()
    user_data: Content | None = None
    vendor_data: Content | None = None
    vendor_data2: dict[str, object] = {}
    admin_pass: str = ""
    tokens: tuple[Token, ...] = (Token(),)
    peer: Peer = Peer()
    dialects: dict[str, msgspec.Struct] = {}
    sections: dict[str, msgspec.Struct] = {}
