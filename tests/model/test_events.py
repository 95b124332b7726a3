"""Events as people write them: what is filled in, and which mistakes are named."""

from __future__ import annotations

import pytest

from emulator.errors import ConfigError
from emulator.model.events import moment
from tests.support.guest import machine


def described(events: str) -> str:
    return f"name: web-1\nevents: {events}\n"


def test_what_is_left_out_is_filled_in_and_stays() -> None:
    text = described("[{kind: interruption}, {kind: maintenance}, {kind: rebalance}]")
    first, second, third = machine(text).events
    assert (first.action, first.notice, first.begins, first.ends) == (
        "terminate",
        "start",
        "notice+2m",
        "",
    )
    assert (second.action, second.begins, second.ends) == ("reboot", "notice+1h", "begins+2h")
    assert (third.action, third.begins) == ("", "notice")
    assert len({one.id for one in (first, second, third)}) == 3
    assert machine(text).events == (first, second, third)


@pytest.mark.parametrize(
    ("text", "base", "seconds"),
    [
        ("start", "start", 0),
        ("first-request+2m", "first-request", 120),
        ("notice+1d", "notice", 86400),
        ("1970-01-01T00:00:10Z", "", 10),
        ("1970-01-01T01:00:00+01:00", "", 0),
    ],
)
def test_a_moment_is_a_base_and_seconds(text: str, base: str, seconds: float) -> None:
    assert moment(text) == (base, seconds)


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ("[{}]", "events[0].kind"),
        ("[{kind: fire}]", "events[0].kind"),
        ("[{kind: interruption, notice: soon}]", "events[0].notice"),
        ("[{kind: interruption, notice: begins+1s}]", "events[0].notice"),
        ("[{kind: interruption, notice: 2026-13-01T00:00:00Z}]", "events[0].notice"),
        ("[{kind: interruption, action: migrate}]", "events[0].action"),
        ("[{kind: rebalance, action: stop}]", "events[0].action"),
        ("[{kind: rebalance, state: Standby}]", "events[0].state"),
        ("[{kind: lifecycle}]", "events[0].state"),
        (
            "[{kind: interruption, notice: start+2m, begins: start+1m}]",
            "events[0].begins",
        ),
        (
            "[{kind: interruption, begins: 2026-01-02T00:00:00Z, ends: 2026-01-01T00:00:00Z}]",
            "events[0].ends",
        ),
        ("[{kind: rebalance, id: a}, {kind: rebalance, id: a}]", "events[1].id"),
    ],
)
def test_mistakes_are_named(events: str, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        machine(described(events))
    assert [problem.field for problem in raised.value.problems] == [field]


def test_a_launch_that_no_calendar_has_is_named() -> None:
    with pytest.raises(ConfigError, match="launched"):
        machine('name: web-1\nlaunched: "2026-02-30T00:00:00Z"\n')
