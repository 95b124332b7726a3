"""Events come and go at their moments, and nothing changes in between."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

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


def begun(one: Event, now: float, since: float, anchors: Anchors = START) -> tuple[object, ...]:
    [found] = occurrences([one], anchors, now, {"id": since})
    return found.phase, found.begins, found.ends


def test_an_event_that_is_allowed_begins_before_its_time() -> None:
    one = event(notice="start", begins="notice+1h", ends="begins+10m")
    assert begun(one, 1100, 1100) == ("begun", 1100, 1700)
    assert begun(one, 1699, 1100) == ("begun", 1100, 1700)
    assert begun(one, 1700, 1100) == ("over", 1100, 1700)
    assert next_change([one], START, 1100, {"id": 1100}) == 1700
    assert next_change([one], START, 1000, {"id": 1100}) == 1100


def test_what_is_allowed_delays_nothing() -> None:
    one = event(notice="start", begins="notice+1m", ends="begins+1m")
    assert begun(one, 1065, 5000) == ("begun", 1060, 1120)


def test_what_is_allowed_before_it_is_told_of_begins_then() -> None:
    one = event(notice="start+1m", begins="notice+1m")
    assert occurrences([one], START, 1059, {"id": 1010}) == ()
    assert begun(one, 1060, 1010) == ("begun", 1060, None)


def test_an_end_of_its_own_stays() -> None:
    one = event(notice="start", begins="notice+1h", ends="start+2h")
    assert begun(one, 1100, 1100) == ("begun", 1100, 8200)
    # It cannot be over before it has begun.
    assert begun(event(notice="start", ends="start"), 1000, 1100)[1:] == (1100, 1100)


def test_only_the_event_that_was_allowed_begins() -> None:
    told = [completed(event(begins="notice+1h"), "id"), completed(event(), "")]
    other = Event(**{**asdict(told[0]), "id": "other"})
    phases = [o.phase for o in occurrences([told[0], other], START, 1100, {"other": 1100})]
    assert phases == ["announced", "begun"]
    assert occurrences(told, START, 1100, {"none": 1100}) == occurrences(told, START, 1100)


def test_what_waits_for_the_first_request_begins_when_it_is_allowed() -> None:
    one = event(notice="start", begins="first-request+1h", ends="begins+1m")
    assert occurrences([one], START, 1100) == ()
    assert begun(one, 1100, 1100) == ("begun", 1100, 1160)
    asked = Anchors(start=1000, first_request=1010)
    assert begun(one, 1100, 1100, asked) == ("begun", 1100, 1160)


@given(told=st.lists(events, max_size=4), since=st.floats(0, 20_000), all_of_them=st.booleans())
def test_between_changes_nothing_differs_whatever_is_allowed(
    *, told: list[Event], since: float, all_of_them: bool
) -> None:
    named = [Event(**{**asdict(one), "id": str(n)}) for n, one in enumerate(told)]
    allowed = {one.id: since for one in (named if all_of_them else named[:1])}
    now, steps = 0.0, 0
    while (then := next_change(named, START, now, allowed)) < inf:
        between = occurrences(named, START, (now + then) / 2, allowed)
        assert occurrences(named, START, now, allowed) == between
        assert between != occurrences(named, START, then, allowed)
        now, steps = then, steps + 1
    assert steps <= 3 * len(named)
    ever = occurrences(named, START, 1e12, allowed)
    for one, plain in zip(ever, occurrences(named, START, 1e12), strict=True):
        assert one.begins <= plain.begins


def test_what_would_be_later_than_any_calendar_is_at_its_end() -> None:
    one = completed(event(notice="start", begins="notice+999999999d", ends="begins+1d"), "id")
    [told] = occurrences([one], START, 1100)
    assert told.ends == told.begins
    assert rfc3339(told.begins) == "9999-12-31T23:59:59Z"
