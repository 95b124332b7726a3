"""What a machine's annotations say to admission and to its sidecar, beside the description."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emulator.model.kubernetes import KEY, LONGEST, SUBDOMAIN
from emulator.sources.audiences import DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS, Audience

ObjectName = Annotated[
    str,
    Meta(
        max_length=LONGEST,
        pattern=rf"^({SUBDOMAIN})?$",
        extra={"allowed": "the name of one in the VM's namespace"},
    ),
]
ObjectKey = Annotated[
    str,
    Meta(
        max_length=2 * LONGEST + 1,
        pattern=rf"^({SUBDOMAIN}(/{KEY})?)?$",
        extra={"allowed": "NAME or NAME/KEY of one in the VM's namespace"},
    ),
]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What annotations ask of admission and sidecar.

    ``audiences`` are those of ``token-audiences``, read. Objects are ``NAME`` or ``NAME/KEY``.
    """

    enabled: Annotated[
        bool,
        Meta(description="Whether the VM gets a metadata service; everything else needs this."),
    ] = False
    persona: Annotated[
        Literal["default", "nocloud", "aws", "gcp", "azure"],
        Meta(
            description="Which cloud the VM is made to look like: it chooses `dialects` and the "
            "SMBIOS values by which stock guests find them."
        ),
    ] = "default"
    bridge: Annotated[
        str,
        Meta(
            # It is an argument of the sidecar's: not one that looks like a flag.
            pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,14})?$",
            description="Bridge of the network on which the guest asks; by default `k6t-eth0`, or "
            "else the VM's first.",
            extra={"allowed": "the name of a network interface, 1 to 15 characters"},
        ),
    ] = ""
    plumbing: Annotated[
        Literal["sidecar", "plugin"],
        Meta(
            description="Who leads the guest's requests to the service: the sidecar, which needs "
            "NET_ADMIN, or a network binding plugin. Admission sets it for VMs with one."
        ),
    ] = "sidecar"
    user_data_secret: Annotated[
        ObjectKey, Meta(description="Secret with the user data, by default under `userdata`.")
    ] = ""
    user_data_config_map: Annotated[
        ObjectKey, Meta(description="ConfigMap with the user data, by default under `userdata`.")
    ] = ""
    vendor_data_secret: Annotated[
        ObjectKey, Meta(description="Secret with the vendor data, by default under `vendordata`.")
    ] = ""
    vendor_data_config_map: Annotated[
        ObjectKey,
        Meta(description="ConfigMap with the vendor data, by default under `vendordata`."),
    ] = ""
    templates: Annotated[
        ObjectName,
        Meta(
            description="ConfigMap whose entries `DIALECT.NAME.j2` replace or add documents, as "
            "`serve --templates` does."
        ),
    ] = ""
    audiences: tuple[Audience, ...] = ()
    token_seconds: Annotated[
        int,
        Meta(
            ge=LEAST_SECONDS,
            le=MOST_SECONDS,
            description="Seconds that the token of the default audience lives.",
        ),
    ] = DEFAULT_SECONDS
    audit: Annotated[
        bool,
        Meta(description="Whether each request is audited, as one JSON line on standard output."),
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "off"],
        Meta(description="The least of what the sidecar logs beside requests."),
    ] = "info"
