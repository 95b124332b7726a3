"""Token buckets: what may be taken at once, what comes back, and what is never more than that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.bucket import Bucket, Crowd, Hits, Meter, Pace
from emulator.model.config import Limits

NOW = 1_800_000_000.0
SMALL = Pace.of(
    Limits(requests_of_vm=10, requests_at_once=5, bytes_of_vm=1000, bytes_at_once=4096)
)


def asked(meter: Meter, now: float, count: int, pace: Pace = SMALL) -> list[str]:
    return [meter.asks(pace, now) for _ in range(count)]


def test_so_many_may_be_asked_at_once_and_then_at_the_rate() -> None:
    meter = Meter()
    assert asked(meter, NOW, 7) == [""] * 5 + ["requests_of_vm"] * 2
    assert asked(meter, NOW + 0.1, 2) == ["", "requests_of_vm"]
    assert asked(meter, NOW + 0.35, 3) == ["", "", "requests_of_vm"]
    # However long the rest, no more than the burst.
    assert asked(meter, NOW + 3600, 7) == [""] * 5 + ["requests_of_vm"] * 2


def test_what_was_refused_costs_nothing() -> None:
    meter = Meter()
    asked(meter, NOW, 1000)
    assert asked(meter, NOW + 0.5, 6) == [""] * 5 + ["requests_of_vm"]


@pytest.mark.parametrize("burst", [1, 5])
def test_without_a_rate_there_is_no_limit(burst: int) -> None:
    pace = Pace.of(Limits(requests_of_vm=0, requests_at_once=burst, bytes_of_vm=0))
    meter = Meter()
    meter.answers(pace, NOW, 1 << 40)
    assert meter.affords(pace, NOW, 1e9)
    assert set(asked(meter, NOW, 1000, pace)) == {""}


def test_bytes_that_were_answered_must_have_come_back() -> None:
    meter = Meter()
    meter.answers(SMALL, NOW, 4096)
    assert asked(meter, NOW, 1) == [""]
    # The last answer is given whole, whatever is left.
    meter.answers(SMALL, NOW, 2000)
    assert asked(meter, NOW + 1.9, 1) == ["bytes_of_vm"]
    assert asked(meter, NOW + 2.1, 1) == [""]


def test_what_costs_more_is_afforded_or_not() -> None:
    meter = Meter()
    assert meter.affords(SMALL, NOW, 4)
    assert not meter.affords(SMALL, NOW, 4)
    assert asked(meter, NOW, 2) == ["", "requests_of_vm"]


def test_one_that_came_before_others_is_no_less_within_no_limit() -> None:
    pace = Pace.of(Limits(requests_of_vm=0, requests_at_once=1))
    meter = Meter()
    assert [meter.asks(pace, NOW + 1), meter.asks(pace, NOW)] == ["", ""]


@given(
    rate=st.floats(0.1, 1e6),
    burst=st.integers(1, 10_000),
    waits=st.lists(st.floats(0, 10), max_size=200),
)
def test_in_no_time_is_more_taken_than_burst_and_rate_allow(
    rate: float, burst: int, waits: list[float]
) -> None:
    pace = Pace.of(Limits(requests_of_vm=rate, requests_at_once=burst))
    meter, now, taken = Meter(), NOW, 0
    for wait in waits:
        now += wait
        taken += not meter.asks(pace, now)
    # A number of this size is exact to a fraction of a microsecond.
    assert taken <= burst + (now - NOW) * rate * (1 + 1e-6) + 1e-3 * rate + 1


@given(rate=st.floats(1, 1e5), burst=st.integers(1, 1000), count=st.integers(1, 100))
def test_who_keeps_to_the_rate_is_never_refused(rate: float, burst: int, count: int) -> None:
    pace = Pace.of(Limits(requests_of_vm=rate, requests_at_once=burst))
    meter = Meter()
    assert {meter.asks(pace, 100 + number / rate) for number in range(count)} == {""}


def test_a_bucket_counts_in_seconds() -> None:
    bucket = Bucket(rate=4, burst=8)
    assert bucket.each == 0.25
    assert bucket.taken(0, NOW, 2) == NOW + 0.5
    assert bucket.taken(NOW + 1, NOW, 2) == NOW + 1.5


def test_hits_are_counted_by_limit_and_by_machine() -> None:
    hits = Hits()
    hits.note("connections")
    hits.note("requests_of_vm", "a")
    hits.note("requests_of_vm", "b")
    hits.note("pace_of_vm", "")
    assert hits == {"connections": 1, "requests_of_vm": 2, "pace_of_vm": 1}
    assert hits.of == {"a": 1, "b": 1}
    hits.forget_all_but({"b"})
    assert hits.of == {"b": 1}


def test_connections_are_counted_by_whose_they_are() -> None:
    crowd = Crowd()
    for _ in range(2):
        crowd.begins("a")
    crowd.waits("a")
    assert (crowd.busy("a"), crowd.busy("b")) == (1, 0)
    crowd.waited("a")
    crowd.ends("a")
    assert crowd.busy("a") == 1
    crowd.ends("a")
    assert not crowd.held
    assert not crowd.waiting
