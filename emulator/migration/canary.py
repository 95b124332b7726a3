"""The canary: session tokens required of a part of the fleet, raised in steps, given up by itself.

Pure: what is seen goes in, what is to be kept comes out.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from emulator.model.network import Value

_ALL = 100
_NAMED = 20


class CanaryPolicy(Value, frozen=True):
    """How session tokens are required of more and more machines."""

    steps: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=_ALL)], ...],
        Meta(min_length=1, max_length=100, description="Percentages of the machines, rising."),
    ] = (5, 25, 50, 100)
    hold_seconds: Annotated[
        int, Meta(ge=1, le=366 * 86_400, description="How long each step lasts at least.")
    ] = 86_400
    boots: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="New canary machines that must have had their data with a session token "
            "before the next step; all, if a step has fewer.",
        ),
    ] = 1
    stalls: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Stalled canary machines that end the attempt.")
    ] = 1
    attempt: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Another number begins anew, after a fallback too."),
    ] = 1
    salt: Annotated[
        str, Meta(max_length=255, description="Another text chooses other machines first.")
    ] = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where a canary is; ``held`` are the seconds that its step has lasted.

    One that has ``fallen`` stays so, for the reason ``why``, until there is another ``attempt``.
    """

    attempt: int
    percent: int = 0
    held: float = 0.0
    fallen: bool = False
    why: str = ""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen of the machines of which the canary requires session tokens.

    ``stalled`` gives the cause by namespace/name; some were refused and are ``pending``; of the
    ``fresh`` ones, which this step has added, so many have ``proven`` to manage. It is
    ``in_force`` once the machines that are served are held to the present step.
    """

    stalled: Mapping[str, str] = {}
    pending: bool = False
    fresh: int = 0
    proven: int = 0
    in_force: bool = True


def found(data: bytes | None, policy: CanaryPolicy) -> Kept:
    """Read what was kept, with nothing begin; raise ``ValueError`` if it cannot be read."""
    if data is None:
        return Kept(attempt=policy.attempt)
    return msgspec.json.decode(data, type=Kept)


def step(policy: CanaryPolicy, kept: Kept, seconds: float, sight: Sight) -> Kept:
    """Say where the canary is after ``seconds`` more, under ``policy`` and by ``sight``."""
    if kept.attempt != policy.attempt:
        kept = Kept(attempt=policy.attempt)
    if kept.fallen:
        return kept
    if not kept.percent or kept.percent > policy.steps[-1]:
        nearest = policy.steps[-1] if kept.percent else policy.steps[0]
        return replace(kept, percent=nearest, held=0.0)
    if len(sight.stalled) >= policy.stalls:
        return Kept(attempt=kept.attempt, fallen=True, why=_why(sight.stalled))
    if not sight.in_force:
        return kept
    held = kept.held + seconds
    higher = [percent for percent in policy.steps if percent > kept.percent]
    enough = held >= policy.hold_seconds and sight.proven >= min(policy.boots, sight.fresh)
    if higher and enough and not sight.pending:
        return replace(kept, percent=higher[0], held=0.0)
    return replace(kept, held=held)


def chosen(salt: str, percent: int, uuids: Iterable[str]) -> frozenset[str]:
    """Choose ``percent`` of ``uuids``, never more: the same ones each time, and others to them.

    A machine's place in the row depends on nothing but ``salt`` and itself.
    """
    row = sorted((_place(salt, uuid), uuid) for uuid in uuids)
    most = len(row) * percent // _ALL
    return frozenset(uuid for place, uuid in row[:most] if place * _ALL < percent << 64)


def _place(salt: str, uuid: str) -> int:
    return int.from_bytes(hmac.digest(salt.encode(), uuid.encode(), "sha256")[:8])


def _why(stalled: Mapping[str, str]) -> str:
    named = [f"{name} ({cause})" for name, cause in sorted(stalled.items())[:_NAMED]]
    more = f" and {len(stalled) - _NAMED} more" if len(stalled) > _NAMED else ""
    return f"boots were stalled: {', '.join(named)}{more}"
