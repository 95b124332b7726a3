"""The ordered table of dialects: where two claim a path, the earlier one has it."""

from __future__ import annotations

import msgspec

from emulator.core.paths import split_target
from emulator.dialects import (
    azure,
    ec2,
    ec2_v1,
    gce,
    health,
    kubevirt,
    no_identity,
    nocloud,
    openstack,
)
from emulator.dialects.base import Dialect, SessionPolicy
from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary

DIALECTS: dict[str, Dialect] = {
    module.DIALECT.name: module.DIALECT
    for module in (
        health,
        no_identity,
        nocloud,
        kubevirt,
        openstack,
        ec2,
        ec2_v1,
        gce,
        azure,
    )
}

VOCABULARY = Vocabulary(
    policies={name: dialect.policy for name, dialect in DIALECTS.items() if not dialect.always},
    sections={
        name: dialect.section for name, dialect in DIALECTS.items() if dialect.section is not None
    },
    default=("openstack", "kubevirt"),
    rules={name: dialect.rules for name, dialect in DIALECTS.items()},
    personas={
        "default": ("openstack", "kubevirt"),
        "nocloud": ("nocloud", "kubevirt"),
        "aws": ("ec2", "kubevirt"),
        "gcp": ("gce", "kubevirt"),
        "azure": ("azure", "kubevirt"),
    },
)


DOORS = {name: address for dialect in DIALECTS.values() for name, address in dialect.doors.items()}
"""The addresses at which guests ask beside 169.254.169.254, by the names of their doors."""


# cloud-init looks for EC2 under this name too; its clients need nobody to resolve it.
HOSTS = frozenset(
    ("instance-data", *(name for dialect in DIALECTS.values() for name in dialect.hosts))
)
"""The names by which clients ask for the metadata address."""


def split_at_door(target: str) -> tuple[str, str]:
    """Split a request target into path and query, one behind a door's name and a colon too."""
    door, colon, rest = target.partition(":")
    if door not in DOORS:
        return split_target(target)
    path, query = split_target(rest)
    return f"{door}{colon}{path}", query


def switched_on(instance: Instance) -> list[tuple[Dialect, msgspec.Struct]]:
    """Give the dialects of a machine in the table's order, companions included, with policies."""
    chosen = instance.dialects
    names = {name for name, dialect in DIALECTS.items() if dialect.always}.union(chosen)
    for name in chosen:
        names.update(DIALECTS[name].brings)
    for name in chosen:
        names.difference_update(DIALECTS[name].replaces)
    on = frozenset(names)
    return [
        (dialect, dialect.settle(chosen.get(name) or dialect.policy(), on, instance))
        for name, dialect in DIALECTS.items()
        if name in on
    ]


def gives_tokens(instance: Instance) -> bool:
    """Say whether any dialect of ``instance`` gives session tokens, whose answers are limited."""
    policies = (policy for _, policy in switched_on(instance))
    return any(isinstance(policy, SessionPolicy) and policy.gives_tokens for policy in policies)
