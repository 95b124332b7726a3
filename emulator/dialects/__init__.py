"""The ordered table of dialects: where two claim a path, the earlier one has it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from emulator.dialects import ec2_v1, health, kubevirt, nocloud, openstack
from emulator.dialects.base import Dialect
from emulator.model.vocabulary import Vocabulary

DIALECTS: dict[str, Dialect] = {
    module.DIALECT.name: module.DIALECT
    for module in (health, nocloud, kubevirt, openstack, ec2_v1)
}

VOCABULARY = Vocabulary(
    policies={name: dialect.policy for name, dialect in DIALECTS.items() if not dialect.always},
    sections={
        name: dialect.section for name, dialect in DIALECTS.items() if dialect.section is not None
    },
    default=("openstack", "kubevirt"),
)


def switched_on(
    chosen: Mapping[str, msgspec.Struct],
) -> list[tuple[Dialect, msgspec.Struct]]:
    """Give the dialects of a machine in the table's order, companions included, with policies."""
    names = set(chosen)
    for name in chosen:
        names.update(DIALECTS[name].brings)
    return [
        (dialect, chosen.get(name) or dialect.policy())
        for name, dialect in DIALECTS.items()
        if dialect.always or name in names
    ]
