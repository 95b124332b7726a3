"""Boots as the service sees them, by a clock that the test moves."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from emulator.observe.boots import PATIENCE, SILENCE, Boots
from emulator.observe.observation import Observation
from tests.observe.test_audit import SEEN
from tests.support.ports import FakePorts

WEB = ("shop", "web-1")

GIVEN = SEEN
"""Data that was had with a session token."""
FREE = replace(SEEN, session="absent", fingerprint="")
"""The same without one, where they are optional."""
ELSEWHERE = replace(SEEN, area="kubevirt", session="", fingerprint="")
"""Data of a dialect without session tokens."""
REFUSED = replace(FREE, status=401, reason="session-missing")
NO_TOKEN = replace(SEEN, area="ec2-token", session="", method="PUT", document="session",
                   status=403, reason="forwarded")  # fmt: skip
TOKEN = replace(NO_TOKEN, status=200, reason="", lifetime=300)
OTHER = replace(ELSEWHERE, status=500, reason="unavailable")
ABSENT = replace(ELSEWHERE, status=404, reason="dialect-off", document="none")
LISTING = replace(FREE, document="listing")
HEALTHY = replace(ELSEWHERE, document="health")


class Seen:
    """Boots, and the clock."""

    def __init__(self) -> None:
        self.fake = FakePorts()
        self.boots = Boots(self.fake.ports)

    def see(self, *observations: Observation, every: float = 0.0) -> None:
        for one in observations:
            self.boots([one])
            self.fake.advance(every)

    def after(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Let time pass; give how many boots were completed, and stalled by cause."""
        self.fake.advance(seconds)
        self.boots.check()
        return self.boots.completed, dict(self.boots.stalls)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.mark.parametrize(
    ("observations", "completed", "stalls"),
    [
        ([TOKEN, GIVEN, GIVEN], 1, {}),
        ([FREE], 1, {}),
        ([ELSEWHERE], 1, {}),
        ([REFUSED], 0, {"session": 1}),
        ([NO_TOKEN], 0, {"token": 1}),
        ([OTHER], 0, {"other": 1}),
        # Refused first, then with a token.
        ([REFUSED, TOKEN, GIVEN], 1, {}),
        ([OTHER, ELSEWHERE], 1, {}),
        ([ELSEWHERE, OTHER], 1, {}),
        # Another dialect is no comfort.
        ([REFUSED, ELSEWHERE], 0, {"session": 1}),
        ([ELSEWHERE, REFUSED], 1, {"session": 1}),
        # What counts is what stands in a boot's way, not what came first.
        ([OTHER, REFUSED], 0, {"session": 1}),
        # A client that looks for what there is, gets a token only, or a list, or is healthy.
        ([ABSENT, TOKEN, LISTING, HEALTHY], 0, {}),
        ([replace(TOKEN, method="GET", status=405, reason="method")], 0, {}),
        ([replace(OTHER, vm="")], 0, {}),
        # Something written is not read.
        ([replace(FREE, method="PUT", document="attributes")], 0, {}),
    ],
)
def test_a_boot_is_completed_by_data_and_stalled_without(
    seen: Seen, observations: list[Observation], completed: int, stalls: dict[str, int]
) -> None:
    seen.see(*observations)
    assert seen.after(PATIENCE) == (completed, stalls)
    assert bool(seen.boots.stalled) == bool(stalls)


def test_a_boot_is_not_stalled_before_its_time(seen: Seen) -> None:
    seen.see(*[REFUSED] * 10, every=11)
    assert seen.after(9.9) == (0, {})
    assert seen.after(0.1) == (0, {"session": 1})
    assert seen.boots.stalled == {WEB: "session"}


def test_late_data_ends_a_stall_and_makes_no_completed_boot(seen: Seen) -> None:
    seen.see(REFUSED)
    seen.after(PATIENCE)
    seen.see(ELSEWHERE, REFUSED)
    assert seen.boots.stalled == {WEB: "session"}
    seen.see(GIVEN)
    assert seen.after(PATIENCE) == (0, {"session": 1})
    assert seen.boots.stalled == {}


def test_a_stall_that_nobody_looked_at_counts(seen: Seen) -> None:
    seen.see(REFUSED)
    seen.fake.advance(PATIENCE)
    seen.see(GIVEN)
    assert seen.after(0) == (0, {"session": 1})
    assert seen.boots.stalled == {}


def test_a_boot_begins_after_silence(seen: Seen) -> None:
    seen.see(GIVEN, every=SILENCE - 1)
    seen.see(GIVEN)
    assert seen.after(SILENCE) == (1, {})
    seen.see(GIVEN)
    assert seen.after(0) == (2, {})


def test_a_stalled_boot_is_followed_by_another(seen: Seen) -> None:
    seen.see(REFUSED)
    seen.fake.advance(SILENCE)
    # This one finds the first one stalled.
    seen.see(REFUSED)
    assert seen.after(0) == (0, {"session": 1})
    assert seen.after(PATIENCE) == (0, {"session": 2})


def test_the_clock_that_is_set_begins_no_boot(seen: Seen) -> None:
    seen.see(GIVEN)
    for jump in (-86_400.0, 86_400.0):
        seen.fake.set_by += jump
        seen.see(REFUSED, REFUSED, every=2)
    assert seen.after(PATIENCE) == (1, {})


def test_what_somebody_typed_is_no_boot(seen: Seen) -> None:
    seen.see(GIVEN)
    seen.fake.advance(SILENCE)
    # Once, of a machine that is known to manage.
    seen.see(REFUSED)
    assert seen.after(PATIENCE) == (1, {})
    seen.see(REFUSED)
    assert seen.after(PATIENCE) == (1, {})
    # A boot insists.
    seen.see(REFUSED, REFUSED, every=1)
    assert seen.after(PATIENCE) == (1, {"session": 1})


def test_that_another_dialect_managed_says_nothing_of_sessions(seen: Seen) -> None:
    seen.see(ELSEWHERE)
    seen.fake.advance(SILENCE)
    seen.see(OTHER)
    assert seen.after(PATIENCE) == (1, {})
    seen.see(REFUSED)
    assert seen.after(PATIENCE) == (1, {"session": 1})


def test_who_is_begun_anew_has_proved_nothing(seen: Seen) -> None:
    seen.see(FREE)
    assert seen.boots.proven([WEB]) == 0
    seen.boots.anew([WEB])
    seen.see(REFUSED)
    assert seen.after(PATIENCE) == (1, {"session": 1})
    seen.see(GIVEN)
    assert seen.boots.proven([WEB, ("shop", "web-2")]) == 1
    seen.boots.anew([WEB])
    assert seen.boots.proven([WEB]) == 0
    assert seen.boots.stalled == {}


def test_machines_that_are_served_no_more_are_forgotten(seen: Seen) -> None:
    for number in range(1000):
        seen.see(replace(REFUSED, vm=f"web-{number}"))
    seen.after(PATIENCE)
    seen.boots.forget_all_but({WEB})
    assert seen.boots.stalled == {WEB: "session"}
    assert seen.boots.proven([WEB]) == 0
    seen.boots.forget_all_but(())
    assert seen.boots.stalled == {}


def test_machines_that_are_told_of_together_are_told_apart(seen: Seen) -> None:
    other = replace(GIVEN, vm="web-2")
    elsewhere = replace(REFUSED, namespace="prod")
    seen.boots([REFUSED, other, other, REFUSED, elsewhere])
    assert seen.after(PATIENCE) == (1, {"session": 2})
    assert set(seen.boots.stalled) == {WEB, ("prod", "web-1")}
