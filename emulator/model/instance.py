"""The one vocabulary in which a virtual machine is described; every dialect is rendered from it.

Field names are YAML's, annotations' and the templates' alike. Constraints that a type can state
stand here; those between fields stand in ``validate``. Descriptions feed the JSON Schema and the
reference page; ``extra`` holds what messages say (``allowed``), the size in bytes of contents
(``limit``), and what messages must not repeat (``secret``).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emulator.model.events import Event
from emulator.model.network import (
    AUTOMATIC,
    HOST_PATTERN,
    HOST_WORDS,
    Address,
    Bond,
    Interface,
    Route,
    Value,
    Vlan,
)

__all__ = [
    "AUTOMATIC",
    "Bond",
    "Content",
    "Event",
    "File",
    "Instance",
    "Interface",
    "Peer",
    "Placement",
    "PublicKey",
    "Route",
    "Token",
    "Vlan",
]

MIB = 1 << 20
_LINE = r"^[^\x00-\x1f\x7f]*$"

Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=_LINE,
        extra={"allowed": "1 to 255 characters on one line"},
    ),
]
Name = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        extra={
            "allowed": "1 to 253 letters, digits, '.', '_' or '-', "
            "with a letter or digit at both ends"
        },
    ),
]
Label = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=_LINE,
        extra={"allowed": "at most 255 characters on one line"},
    ),
]
Path = Annotated[
    str,
    Meta(
        max_length=4096,
        pattern=r"^[^\x00\r\n]*$",
        extra={"allowed": "a path on one line"},
    ),
]


class Placement(Value, frozen=True):
    """Where the machine runs, in the words of its cloud."""

    region: Annotated[Text, Meta(description="Region.")] = "local"
    zone: Annotated[
        Label, Meta(description="Availability zone; by default the region with an `a` after it.")
    ] = ""


class PublicKey(Value, frozen=True):
    """A public key for logging in."""

    name: Annotated[Text, Meta(description="Name of the key pair.")]
    key: Annotated[
        str,
        Meta(
            max_length=16_384,
            description="One `authorized_keys` line without options, or a PEM certificate for "
            "x509.",
        ),
    ]
    type: Annotated[Literal["ssh", "x509"], Meta(description="Kind of key.")] = "ssh"


class Content(Value, frozen=True):
    """Bytes from one of three spellings; ``data`` holds them once a source has read them.

    ``file`` and ``line`` say where they begin, for a mistake in a template.
    """

    data: bytes = b""
    template: bool = False
    file: str = ""
    line: int = 0


class File(Value, frozen=True):
    """A file to be put into the guest by OpenStack's personality."""

    path: Annotated[
        str,
        Meta(
            pattern=r"^/[^\x00-\x1f\x7f]*$",
            max_length=255,
            description="Absolute path in the guest.",
            extra={"allowed": "an absolute path (/...) of at most 255 characters on one line"},
        ),
    ]
    content: Annotated[
        Content, Meta(description="What it holds; at most 1 MiB.", extra={"limit": MIB})
    ]


class Token(Value, frozen=True):
    """A ServiceAccount token that the guest may ask for."""

    audience: Annotated[
        Label,
        Meta(description="Audience; empty for the one that `/v1/token` gives by default."),
    ] = ""
    file: Annotated[
        Path,
        Meta(
            description="File that holds it, read on each request, relative to the description; "
            "empty: the built-in issuer signs one."
        ),
    ] = ""
    lifetime: Annotated[
        int, Meta(ge=60, le=31_536_000, description="Seconds that an issued token lives.")
    ] = 3600


class Peer(Value, frozen=True):
    """How the machine is recognised where one server has several."""

    addresses: Annotated[
        tuple[Address, ...],
        Meta(
            max_length=256,
            description="Source addresses it asks from; by default, without a socket, its static "
            "addresses.",
        ),
    ] = ()
    socket: Annotated[
        Path, Meta(description="Unix socket path that only this machine can ask on.")
    ] = ""


class Instance(Value, frozen=True):
    """One virtual machine. Only ``name`` is needed; ``derive`` fills in the rest."""

    name: Annotated[Name, Meta(description="Name of the machine.")]
    namespace: Annotated[
        Name, Meta(description="Kubernetes namespace, or any group it belongs to.")
    ] = "default"
    hostname: Annotated[
        str,
        Meta(
            max_length=253,
            pattern=rf"^({HOST_PATTERN[1:-1]})?$",
            description="Host name or FQDN; by default made from the name.",
            extra={"allowed": HOST_WORDS},
        ),
    ] = ""
    uuid: Annotated[
        str,
        Meta(
            pattern=r"^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$",
            extra={"allowed": "a UUID such as 0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90"},
            description="UUID; by default derived from namespace and name, and never one that a "
            "guest takes for EC2's.",
        ),
    ] = ""
    service_account: Annotated[Name, Meta(description="Its Kubernetes ServiceAccount.")] = (
        "default"
    )
    project: Annotated[
        Label,
        Meta(description="Project or tenant id; by default 32 hex digits from the namespace."),
    ] = ""
    placement: Annotated[Placement, Meta(description="Where it runs.")] = Placement()
    type: Annotated[Text, Meta(description="Instance type (flavor).")] = "standard"
    image: Annotated[Text, Meta(description="Name or id of the image it was made from.")] = (
        "unknown"
    )
    launch_index: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="Its place among those launched together.")
    ] = 0
    public_keys: Annotated[
        tuple[PublicKey, ...],
        Meta(
            max_length=256,
            description="Keys for logging in, the first one first. Windows guests encrypt their "
            "password with any SSH key among them, so all of those must then be RSA.",
        ),
    ] = ()
    tags: Annotated[
        dict[Text, Label], Meta(max_length=128, description="Free tags, name to value.")
    ] = msgspec.field(default_factory=dict)
    meta: Annotated[
        dict[Text, Label],
        Meta(
            max_length=128,
            description="Free metadata that clients act upon (`admin_username`, `dsmode`, ...).",
        ),
    ] = msgspec.field(default_factory=dict)
    security_groups: Annotated[
        tuple[Text, ...], Meta(max_length=64, description="Names of its security groups.")
    ] = ("default",)
    interfaces: Annotated[
        tuple[Interface, ...],
        Meta(
            max_length=64,
            description="Network interfaces; without any the guest configures itself by DHCP.",
        ),
    ] = ()
    files: Annotated[
        tuple[File, ...],
        Meta(max_length=64, description="Files to put into the guest, at most 16 MiB in all."),
    ] = ()
    user_data: Annotated[
        Content | None,
        Meta(description="User data, at most 16 MiB, served as it is.", extra={"limit": 16 * MIB}),
    ] = None
    vendor_data: Annotated[
        Content | None,
        Meta(description="Vendor data, at most 16 MiB.", extra={"limit": 16 * MIB}),
    ] = None
    vendor_data2: Annotated[
        dict[str, object],
        Meta(description="OpenStack's dynamic vendor data: any JSON, at most 1 MiB."),
    ] = msgspec.field(default_factory=dict)
    admin_pass: Annotated[
        Label,
        Meta(
            description="Administrator's password, for guests that take one from metadata.",
            extra={"allowed": "at most 255 characters on one line", "secret": True},
        ),
    ] = ""
    tokens: Annotated[
        tuple[Token, ...],
        Meta(max_length=64, description="ServiceAccount tokens it may ask for."),
    ] = (Token(),)
    events: Annotated[
        tuple[Event, ...],
        Meta(max_length=64, description="What happens to it while it runs, and when."),
    ] = ()
    launched: Annotated[
        str,
        Meta(
            pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
            description="When it was launched, in UTC; the default holds everywhere, since "
            "nothing in a description comes from the clock.",
            extra={"allowed": "a time in UTC such as 2026-01-31T08:00:00Z"},
        ),
    ] = "2026-01-01T00:00:00Z"
    session_epoch: Annotated[
        int,
        Meta(
            ge=0,
            le=2**31 - 1,
            description="Another number makes all session tokens void that it was given before.",
        ),
    ] = 0
    peer: Annotated[Peer, Meta(description="How it is told apart from others.")] = Peer()
    dialects: Annotated[
        dict[str, msgspec.Struct],
        Meta(
            description="The dialects it sees, with the policy of each.",
            extra={"allowed": "names, or a mapping of names to on, off or a policy"},
        ),
    ] = msgspec.field(default_factory=dict)
    sections: Annotated[
        dict[str, msgspec.Struct],
        Meta(description="What dialects add to the description, by the dialect's name."),
    ] = msgspec.field(default_factory=dict)
