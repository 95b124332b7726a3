"""What only Google has a word for, as the ``gce:`` section of a description."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emulator.dialects.base import Policy
from emulator.dialects.gce.names import KEY
from emulator.model.accounts import GoogleAccount
from emulator.model.instance import Label, Text
from emulator.model.network import Value

Key = Annotated[
    str,
    Meta(
        pattern=f"^{KEY}$",
        extra={"allowed": "1 to 128 letters, digits, '_' and '-'"},
    ),
]
Partner = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
        extra={"allowed": "1 to 128 letters, digits, '_', '.' and '-', not '.' first"},
    ),
]
Long = Annotated[str, Meta(max_length=262_144)]


class GcePolicy(Policy, frozen=True, kw_only=True):
    """Choices about the Google dialect."""

    guest_attributes: Annotated[
        Literal["auto", "enabled", "disabled"],
        Meta(
            description="Whether the guest may write attributes of its own; `auto` leaves it to "
            "the attribute `enable-guest-attributes`, as Google does."
        ),
    ] = "auto"


class GceDisk(Value, frozen=True):
    """A disk as Google tells of it."""

    device_name: Annotated[Text, Meta(description="Name in `/dev/disk/by-id/google-NAME`.")]
    interface: Annotated[Literal["SCSI", "NVME"], Meta(description="How it is attached.")] = "SCSI"
    mode: Annotated[
        Literal["READ_WRITE", "READ_ONLY"], Meta(description="Whether it may be written.")
    ] = "READ_WRITE"
    type: Annotated[Label, Meta(description="Type, such as `PERSISTENT-BALANCED`.")] = (
        "PERSISTENT-BALANCED"
    )


class Scheduling(Value, frozen=True):
    """What happens to the machine when its host does not."""

    automatic_restart: Annotated[bool, Meta(description="Whether it is started again.")] = True
    on_host_maintenance: Annotated[
        Literal["MIGRATE", "TERMINATE"], Meta(description="What maintenance does to it.")
    ] = "MIGRATE"
    preemptible: Annotated[bool, Meta(description="Whether it may be taken back.")] = False


class Gce(Value, frozen=True):
    """What only Google has a word for; whatever is left out is derived or absent."""

    id: Annotated[
        int, Meta(ge=0, le=2**63 - 1, description="Numeric id; 0: derived from the UUID.")
    ] = 0
    project_id: Annotated[
        str,
        Meta(
            pattern=r"^([a-z][a-z0-9-]{4,28}[a-z0-9])?$",
            extra={"allowed": "6 to 30 lower-case letters, digits and inner hyphens"},
            description="Project id; `project` if that is one, else derived from it.",
        ),
    ] = ""
    numeric_project_id: Annotated[
        int, Meta(ge=0, le=2**53 - 1, description="Project number; 0: derived from the project.")
    ] = 0
    description: Annotated[Label, Meta(description="A line about the machine.")] = ""
    cpu_platform: Annotated[Label, Meta(description="Name of the processor's generation.")] = (
        "Unknown CPU Platform"
    )
    network: Annotated[Key, Meta(description="Name of its network.")] = "default"
    network_tags: Annotated[
        tuple[Key, ...], Meta(max_length=64, description="Its network tags.")
    ] = ()
    licenses: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[0-9]{1,20}$", extra={"allowed": "digits"})], ...],
        Meta(max_length=16, description="Ids of the licenses of its disks."),
    ] = ()
    disks: Annotated[
        tuple[GceDisk, ...], Meta(max_length=64, description="Its disks, the first boots.")
    ] = (GceDisk(device_name="boot"),)
    scheduling: Annotated[Scheduling, Meta(description="How it is scheduled.")] = Scheduling()
    ssh_user: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_.-]{0,31}$",
            extra={"allowed": "a login name of lower-case letters, digits, '_', '.' and '-'"},
            description="Login name to which `public_keys` belong. cloud-init takes `cloudinit` "
            "for its image's own user; Google's agent makes a user of any name.",
        ),
    ] = "cloudinit"
    attributes: Annotated[
        dict[Key, Long],
        Meta(
            max_length=256,
            description="Attributes beside those made of `meta`, `public_keys` and `user_data`, "
            "before them where both have a name.",
        ),
    ] = msgspec.field(default_factory=dict)
    project_attributes: Annotated[
        dict[Key, Long], Meta(max_length=256, description="Attributes of the project.")
    ] = msgspec.field(default_factory=dict)
    partner_attributes: Annotated[
        dict[Partner, dict[Key, Long]],
        Meta(max_length=64, description="Attributes of partners, by their name."),
    ] = msgspec.field(default_factory=dict)
    service_accounts: Annotated[
        tuple[GoogleAccount, ...],
        Meta(max_length=16, description="Its service accounts; the first one is `default`."),
    ] = (GoogleAccount(),)
    remaining_cpu_time: Annotated[
        int, Meta(ge=-1, description="Seconds of CPU that it may still use; -1: no limit.")
    ] = -1
    drift_token: Annotated[
        Label, Meta(description="Another text tells Google's agent to set the clock.")
    ] = "0"  # noqa: S105  no secret
    universe_domain: Annotated[Text, Meta(description="Domain of the APIs.")] = "googleapis.com"
