"""The EC2-like tree that Nova has beside its own, for clients that walk it (contract 1.7).

It knows no session tokens. Asking for one is asking for a path that does not exist, 404 whatever
the method, as in Nova: that answer alone lets SDKs go on without (contract 9.1, 9.2-2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from zlib import crc32

import msgspec
from msgspec import Meta

from emulator.core.message import Reply
from emulator.core.policy import Area, Refusal
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Leaf, Policy, View, eras, key_label
from emulator.model.instance import Instance
from emulator.model.links import local_addresses, public_addresses

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)

# When meta-data gained keys.
CHANGES = ("1.0", "2007-01-19", "2007-08-29", "2007-12-15", "2008-02-01", "2008-09-01")

# Nova answers the same below "/ec2" as below "/".
ROOTS = ("", "/ec2")

Role = Annotated[str, Meta(pattern=r"^(ami|root|swap|ephemeral[0-9]+|ebs[0-9]+)$")]


def _disk() -> dict[str, str]:
    return {"ami": "vda", "root": "/dev/vda"}


class Ec2V1(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What only this tree has a word for."""

    kernel_id: Annotated[
        str, Meta(max_length=255, description="Id of the kernel image, if it has one.")
    ] = ""
    ramdisk_id: Annotated[
        str, Meta(max_length=255, description="Id of the ramdisk image, if it has one.")
    ] = ""
    block_devices: Annotated[
        dict[Role, str],
        Meta(description="Device by role: `ami`, `root`, `swap`, `ephemeralN`, `ebsN`."),
    ] = msgspec.field(default_factory=_disk)


def _areas(_policy: Policy) -> tuple[Area, ...]:
    return (
        Area(name="ec2_v1", prefixes=(*_paths(""), "/ec2")),
        Area(
            name="ec2_v1-no-token",
            prefixes=_paths("/api"),
            refusals={Refusal.METHOD: Reply(404, b"404 Not Found\n")},
        ),
    )


def _paths(below: str, versions: tuple[str, ...] = VERSIONS) -> tuple[str, ...]:
    return tuple(f"{root}/{version}{below}" for version in versions for root in ROOTS)


def _leaves(view: View) -> Iterator[Leaf]:
    instance = view.instance
    yield Leaf(
        paths=("/", "/ec2"),
        area="ec2_v1",
        template="versions",
        variables={"versions": VERSIONS},
        listed=False,
        joins=True,
        document="listing",
    )
    facts = _facts(instance) | {"section": view.section or Ec2V1()}
    for era, versions in eras(VERSIONS, CHANGES).items():
        yield Leaf(
            paths=_paths("/meta-data", versions),
            area="ec2_v1",
            template="meta-data",
            variables={**facts, "version": era},
            tree=True,
            parts={"public-keys": "keys"},
        )
    if instance.user_data is not None and instance.user_data.data:
        data = instance.user_data.data
        yield Leaf(paths=_paths("/user-data"), area="ec2_v1", body=data, document="user-data")


def _facts(instance: Instance) -> dict[str, object]:
    """Give what Nova would have from its database: eight hex digits from what is known."""
    digits = instance.uuid.replace("-", "")
    return {
        "instance_id": f"i-{digits[:8]}",
        "reservation_id": f"r-{digits[-8:]}",
        "ami_id": f"ami-{crc32(instance.image.encode()):08x}",
        "labels": {key.name: key_label(key.name) for key in instance.public_keys},
        "local_ipv4": local_addresses(instance, 4)[:1],
        "public_ipv4": public_addresses(instance, 4)[:1],
    }


DIALECT = Dialect(
    name="ec2_v1",
    summary="Nova's EC2-like tree without tokens, which OpenStack's clients walk as well",
    areas=_areas,
    leaves=_leaves,
    listings=(Listing(root="/", area="ec2_v1", labelled=("public-keys",)),),
    section=Ec2V1,
    example="/latest/meta-data/",
    extra=_paths("/meta-data/"),
    extra_area="ec2_v1",
)
