"""``/healthz``: says to anyone that the server answers (contract 9.1)."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.core.policy import Area
from emulator.dialects.base import Dialect, Leaf, Policy, View


def _areas(_policy: Policy) -> tuple[Area, ...]:
    return (
        Area(
            name="health",
            prefixes=("/healthz",),
            any_host=True,
            # A probe that is refused has its container restarted: a guest could bring that about.
            unlimited=True,
            document="health",
        ),
    )


def _leaves(_view: View) -> Iterable[Leaf]:
    yield Leaf(paths=("/healthz",), area="health", body=b"OK")


DIALECT = Dialect(
    name="health",
    summary="Liveness for anyone",
    areas=_areas,
    leaves=_leaves,
    always=True,
    anyone=True,
)
