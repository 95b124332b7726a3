"""Events come and go at their moments, and nothing changes in between."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from emulator.core.timeline import (
    Anchors,
    awaits_first_request,
    next_change,
    occurrences,
    rfc3339,
)
from emulator.model.events import Event, completed

START = Anchors(start=1000.0)


def event(**fields: str) -> Event:
    return completed(Event(**{"kind": "interruption", **fields}), "id")  # type: ignore[arg-type]


def phases(one: Event, anchors: Anchors, *times: float) -> list[str]:
    return ["".join(o.phase for o in occurrences([one], anchors, time)) for time in times]


def test_an_event_is_announced_begins_and_is_over_at_exactly_its_moments() -> None:
    one = event(notice="start+10s", begins="notice+2m", ends="begins+1h")
    times = (1009.9, 1010, 1129.9, 1130, 4729.9, 4730)
    assert phases(one, START, *times) == [
        "",
        "announced",
        "announced",
        "begun",
        "begun",
        "over",
    ]


def test_changes_are_told_before_they_come() -> None:
    one = event(notice="start+10s", begins="notice+2m", ends="begins+1h")
    assert [next_change([one], START, now) for now in (0, 1010, 1130, 4730)] == [
        1010,
        1130,
        4730,
        inf,
    ]


def test_an_event_waits_for_the_first_request() -> None:
    one = event(notice="first-request+5s")
    assert awaits_first_request([one])
    assert occurrences([one], START, 1e12) == ()
    assert next_change([one], START, 0) == inf
    asked = Anchors(start=1000, first_request=2000)
    assert next_change([one], asked, 2000) == 2005
    assert not awaits_first_request([event()])


def test_an_absolute_time_is_itself() -> None:
    one = event(notice="1970-01-01T01:00:00+00:30")
    [found] = occurrences([one], START, 1800)
    assert (found.notice, found.begins, found.ends) == (1800, 1920, None)


def test_events_stand_in_the_order_of_their_notice() -> None:
    later, sooner = event(notice="start+20s"), event(notice="start+10s")
    found = occurrences([later, sooner], START, 2000)
    assert [one.event for one in found] == [sooner, later]


def test_a_time_is_written_in_utc_to_the_second() -> None:
    assert rfc3339(1_800_000_000.9) == "2027-01-15T08:00:00Z"


offsets = st.builds("{}+{}{}".format, st.just("start"), st.integers(0, 99), st.sampled_from("smh"))
events = st.builds(
    lambda notice, begins, ends: event(notice=notice, begins=begins, ends=ends),
    offsets,
    st.one_of(offsets, st.builds("notice+{}s".format, st.integers(0, 99)), st.just("notice")),
    st.one_of(offsets, st.builds("begins+{}m".format, st.integers(0, 99)), st.just("")),
)


@given(st.lists(events, max_size=5))
def test_nothing_differs_between_one_change_and_the_next(told: list[Event]) -> None:
    now, steps = 0.0, 0
    while (then := next_change(told, START, now)) < inf:
        assert occurrences(told, START, now) == occurrences(told, START, (now + then) / 2)
        assert occurrences(told, START, now) != occurrences(told, START, then)
        now, steps = then, steps + 1
    assert steps <= 3 * len(told)
    assert occurrences(told, START, now) == occurrences(told, START, 1e12)
