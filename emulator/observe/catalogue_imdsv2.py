"""The metrics of boots, and of the way from IMDSv1 to IMDSv2."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from emulator.observe.exposition import Family, Series
from emulator.observe.metrics import OTHERS

FAMILIES = (
    Family(
        "imds_vms_by_imdsv2_mode",
        "gauge",
        ("mode",),
        "Machines by how they are held to session tokens; off: they take none.",
    ),
    Family(
        "imds_boots_total",
        "counter",
        ("outcome",),
        "Boots that got their data, and that were refused and did not get it in time.",
    ),
    Family(
        "imds_boot_stalls_total",
        "counter",
        ("cause",),
        "Of the latter, those for want of a session token, for want of a good answer to its PUT, "
        "and others.",
    ),
    Family(
        "imds_vm_boot_stalled",
        "gauge",
        ("namespace", "vm"),
        "1 from when its boot was stalled until it gets data; then no more.",
    ),
    Family(
        "imds_imdsv2_canary_percent",
        "gauge",
        (),
        "Part of the machines of which the canary requires session tokens; 0 after a fallback.",
    ),
    Family(
        "imds_imdsv2_canary_fallbacks_total",
        "counter",
        (),
        "How often the canary was given up because boots were stalled.",
    ),
)

CAUSES = ("session", "token", "other")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """How far a fleet has come; ``stalled`` are namespaces and names of machines.

    ``canary`` is its percentage, None if there is no canary.
    """

    modes: Mapping[str, int] = {}
    completed: int = 0
    stalls: Mapping[str, int] = {}
    stalled: Collection[tuple[str, str]] = ()
    canary: int | None = None
    fallbacks: int = 0


def series(migration: Migration, vms: Collection[tuple[str, str]]) -> dict[str, Series]:
    """Give the series; ``vms`` are the machines that have some of their own."""
    stalled = set(migration.stalled)
    alone: dict[tuple[str, ...], float] = {name: 1 for name in vms if name in stalled}
    if stalled - alone.keys():
        alone[OTHERS] = 1
    stalls = migration.stalls
    canary: dict[tuple[str, ...], float] = (
        {} if migration.canary is None else {(): migration.canary}
    )
    return {
        "imds_vms_by_imdsv2_mode": {(mode,): count for mode, count in migration.modes.items()},
        "imds_boots_total": {
            ("completed",): migration.completed,
            ("stalled",): sum(stalls.values()),
        },
        "imds_boot_stalls_total": {(cause,): stalls.get(cause, 0) for cause in CAUSES},
        "imds_vm_boot_stalled": alone,
        "imds_imdsv2_canary_percent": canary,
        "imds_imdsv2_canary_fallbacks_total": dict.fromkeys(canary, migration.fallbacks),
    }
