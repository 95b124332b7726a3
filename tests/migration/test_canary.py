"""One step of a canary: what is kept before, what is seen, what is kept after."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.migration.canary import CanaryPolicy, Kept, Sight, chosen, found, step
from tests.migration.test_policy import policy, problems

if TYPE_CHECKING:
    from pathlib import Path

POLICY = CanaryPolicy(steps=(5, 25, 100), hold_seconds=60, boots=2, stalls=1)
STALLED = {"shop/b": "token", "shop/a": "session"}
WELL = Sight(fresh=10, proven=2)


def kept(percent: int, held: float = 0.0, attempt: int = 1) -> Kept:
    return Kept(attempt=attempt, percent=percent, held=held)


@pytest.mark.parametrize(
    ("before", "sight", "after"),
    [
        (kept(0), Sight(), kept(5)),
        # Held for its time, and long enough for so many to prove that they manage.
        (kept(5, 49), WELL, kept(5, 59)),
        (kept(5, 50), WELL, kept(25)),
        (kept(5, 50), Sight(fresh=10, proven=1), kept(5, 60)),
        (kept(5, 50), Sight(fresh=1, proven=1), kept(25)),
        (kept(5, 50), Sight(), kept(25)),
        # Not while one is refused, nor before those who are served are held to the step.
        (kept(5, 50), Sight(fresh=2, proven=2, pending=True), kept(5, 60)),
        (kept(5, 50), Sight(fresh=2, proven=2, in_force=False), kept(5, 50)),
        # The last step lasts.
        (kept(100, 1e6), WELL, kept(100, 1e6 + 10)),
        # Steps that were taken out of the policy.
        (kept(50, 50), WELL, kept(100)),
        (kept(50, 5), WELL, kept(50, 15)),
        # Another attempt begins at the first step.
        (kept(100, attempt=7), WELL, kept(5)),
        (Kept(attempt=7, fallen=True), WELL, kept(5)),
        (Kept(attempt=1, fallen=True), WELL, Kept(attempt=1, fallen=True)),
    ],
)
def test_a_step(before: Kept, sight: Sight, after: Kept) -> None:
    assert step(POLICY, before, 10.0, sight) == after


def test_a_policy_of_fewer_steps_lowers_it() -> None:
    fewer = CanaryPolicy(steps=(5, 10))
    assert step(fewer, kept(25, 3), 1.0, WELL) == kept(10)


@pytest.mark.parametrize("in_force", [True, False])
def test_a_stalled_boot_ends_the_attempt(*, in_force: bool) -> None:
    sight = Sight(stalled=STALLED, in_force=in_force)
    after = step(POLICY, kept(25, 59), 10.0, sight)
    assert after.fallen
    assert after.percent == 0
    assert after.why == "boots were stalled: shop/a (session), shop/b (token)"
    assert step(POLICY, after, 1e9, WELL) == after


def test_more_stalled_boots_may_be_allowed() -> None:
    lenient = CanaryPolicy(stalls=3)
    assert not step(lenient, kept(5), 10.0, Sight(stalled=STALLED)).fallen
    many = {f"shop/{number:02}": "session" for number in range(30)}
    assert step(lenient, kept(5), 10.0, Sight(stalled=many)).why.endswith(
        "shop/19 (session) and 10 more"
    )


def test_what_was_kept_is_found() -> None:
    assert found(None, POLICY) == kept(0)
    assert found(msgspec.json.encode(kept(25, 3.5)), POLICY) == kept(25, 3.5)
    for data in (b"", b"[]", b'{"attempt": "x"}'):
        with pytest.raises(ValueError, match=r"JSON|Expected|truncated"):
            found(data, POLICY)


@given(
    st.lists(st.uuids(), unique=True, max_size=300),
    st.integers(0, 100),
    st.integers(0, 100),
    st.text(max_size=5),
)
def test_raising_only_adds_and_never_exceeds(
    uuids: list[UUID], one: int, other: int, salt: str
) -> None:
    names = list(map(str, uuids))
    lower, higher = sorted((one, other))
    few, many = chosen(salt, lower, names), chosen(salt, higher, reversed(names))
    assert few <= many
    assert len(many) * 100 <= higher * len(names)
    assert chosen(salt, 100, names) == set(names)


def test_a_choice_is_stable_and_another_with_another_salt() -> None:
    names = [str(UUID(int=number)) for number in range(1, 1001)]
    first = chosen("", 25, names)
    assert 200 <= len(first) <= 250
    # A thousand more machines leave it nearly as it is.
    more = chosen("", 25, [*names, *(str(UUID(int=number)) for number in range(2000, 3000))])
    assert len(first - more) <= 25
    assert len(first & chosen("other", 25, names)) < 100


def test_a_canary_is_written_in_the_policy(tmp_path: Path) -> None:
    text = "mode: observe\ncanary: {steps: [1, 100], hold_seconds: 60, attempt: 2}\n"
    expected = CanaryPolicy(steps=(1, 100), hold_seconds=60, attempt=2)
    assert policy(tmp_path, text).canary == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mode: observe\ncanary: {steps: [5, 5]}\n",
            "imdsv2.yaml:2: canary.steps: found 5, 5; allowed: each more than the one before",
        ),
        (
            "mode: observe\ncanary: {steps: [0]}\n",
            "imdsv2.yaml:2: canary.steps[0]: found the number 0; allowed: a whole number from 1",
        ),
        (
            "mode: required\ncanary: {}\n",
            "imdsv2.yaml:2: canary: found a canary of what all are held to; allowed: mode opt",
        ),
    ],
)
def test_a_canary_s_mistakes_are_shown(tmp_path: Path, text: str, said: str) -> None:
    assert any(one.startswith(said) for one in problems(tmp_path, text))
