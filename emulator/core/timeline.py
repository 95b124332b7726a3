"""Which events of a machine there are at a time, and when that changes next.

At exactly the moment that is named it has happened.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from types import MappingProxyType
from typing import Literal

import msgspec

from emulator.model.events import Event, moment

# The last second that a calendar of four digits has: what is said to be later is then.
_LAST = 253_402_300_799.0

Phase = Literal["announced", "begun", "over"]


class Anchors(msgspec.Struct, frozen=True, kw_only=True):
    """What moments count from, seconds since the epoch: ``first_request`` once there was one."""

    start: float
    first_request: float | None = None


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose notice has come, its times in seconds since the epoch (None: never)."""

    event: Event
    notice: float
    begins: float
    ends: float | None
    phase: Phase


def occurrences(
    events: Iterable[Event],
    anchors: Anchors,
    now: float,
    allowed: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Occurrence, ...]:
    """Give the events that the guest sees or saw by ``now``, in the order of their notice.

    ``allowed`` says by id since when the guest lets an event begin before its time.
    """
    found = [
        Occurrence(
            event=event,
            notice=notice,
            begins=begins,
            ends=ends,
            phase=_phase(begins, ends, now),
        )
        for event, notice, begins, ends in _timed(events, anchors, allowed)
        if notice <= now
    ]
    return tuple(sorted(found, key=lambda occurrence: occurrence.notice))


def next_change(
    events: Iterable[Event],
    anchors: Anchors,
    now: float,
    allowed: Mapping[str, float] = MappingProxyType({}),
) -> float:
    """Give the next moment after ``now`` at which ``occurrences`` differs; infinite if none."""
    times = (
        time
        for _, notice, begins, ends in _timed(events, anchors, allowed)
        for time in (notice, begins, inf if ends is None else ends)
    )
    return min((time for time in times if time > now), default=inf)


def awaits_first_request(events: Iterable[Event]) -> bool:
    """Say whether any moment counts from the machine's first request."""
    texts = (text for event in events for text in (event.notice, event.begins, event.ends))
    return any(text.startswith("first-request") for text in texts)


def rfc3339(seconds: float) -> str:
    """Write a time as ``2026-12-01T10:00:00Z``."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timed(
    events: Iterable[Event], anchors: Anchors, allowed: Mapping[str, float]
) -> Iterator[tuple[Event, float, float, float | None]]:
    """Give the events whose times can be known, with these."""
    for event in events:
        known: dict[str, float | None] = {
            "": 0.0,
            "start": anchors.start,
            "first-request": anchors.first_request,
        }
        for name, text in (
            ("notice", event.notice),
            ("begins", event.begins),
            ("ends", event.ends),
        ):
            known[name] = _when(text, known)
            begins = known.get("begins")
            if name == "begins" and event.id in allowed:
                known[name] = min(allowed[event.id], inf if begins is None else begins)
        notice, begins, ends = known["notice"], known["begins"], known["ends"]
        if notice is not None and begins is not None:
            # What is over before it is told of, is so when it is told of.
            begins = max(notice, begins)
            yield event, notice, begins, None if ends is None else max(begins, ends)


def _when(text: str, known: dict[str, float | None]) -> float | None:
    if not text:
        return None
    base, later = moment(text)
    start = known[base]
    return None if start is None else min(start + later, _LAST)


def _phase(begins: float, ends: float | None, now: float) -> Phase:
    if ends is not None and ends <= now:
        return "over"
    return "begun" if begins <= now else "announced"
