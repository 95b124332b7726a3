"""A machine's events in Google's words (contract 4.3)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from emulator.core.timeline import Occurrence, rfc3339

# What moves the machine away while it runs; other work ends it.
_MOVED = frozenset({"migrate", "freeze"})

# What becomes of a machine that is taken back.
_TARGETS = {"terminate": "DELETED", "stop": "STOPPED", "hibernate": "SUSPENDED"}


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """What the tree says of events; None is absent."""

    maintenance: str
    preempted: bool
    upcoming: dict[str, str] | None
    shutdown: dict[str, object] | None


def events(occurrences: Iterable[Occurrence]) -> Events:
    """Give what a guest reads while ``occurrences`` are its events; the soonest one counts."""
    now = sorted((one for one in occurrences if one.phase != "over"), key=lambda one: one.begins)
    work = next((one for one in now if one.event.kind == "maintenance"), None)
    taken = next((one for one in now if one.event.kind == "interruption"), None)
    return Events(
        maintenance=_maintenance(work),
        preempted=taken is not None,
        upcoming=_upcoming(work) if work else None,
        shutdown=_shutdown(taken) if taken else None,
    )


def _maintenance(work: Occurrence | None) -> str:
    if work is None:
        return "NONE"
    return f"{'MIGRATE' if work.event.action in _MOVED else 'TERMINATE'}_ON_HOST_MAINTENANCE"


def _upcoming(work: Occurrence) -> dict[str, str]:
    end = work.begins if work.ends is None else work.ends
    return {
        "can-reschedule": "FALSE",
        "latest-window-start-time": rfc3339(work.begins),
        "maintenance-status": "ONGOING" if work.phase == "begun" else "PENDING",
        "type": "SCHEDULED",
        "window-end-time": rfc3339(end),
        "window-start-time": rfc3339(work.begins),
    }


def _shutdown(taken: Occurrence) -> dict[str, object]:
    return {
        "max-duration": max(0, int(taken.begins - taken.notice)),
        "request-timestamp": rfc3339(taken.notice),
        "stop-state": "STOPPING" if taken.phase == "begun" else "PENDING_STOP",
        "target-state": _TARGETS[taken.event.action],
    }
