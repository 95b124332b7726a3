"""Fleets under a canary, in simulated time: it goes on, and back where a machine breaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from msgspec.structs import replace

from tests.migration.fleets import World
from tests.observe.test_boots import FREE, OTHER, REFUSED

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """\
mode: observe
canary: {{steps: [5, 25, 50, 100], hold_seconds: 3600, boots: 3, attempt: {attempt}}}
exceptions: {exceptions}
"""
FIRST = POLICY.format(attempt=1, exceptions="[]")
SEEDS = range(4)
INNOCENT = {"v2": 150, "v2_boot": 50, "sdk": 50, "quiet": 50}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_innocent_fleet_comes_to_the_end(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, FIRST, seed, **INNOCENT)
    asyncio.run(world.run(6))
    assert world.percents == [5, 25, 50, 100]
    assert len(world.held()) == 300
    assert world.actions("imdsv2-canary-fallback") == []
    raised = [(own["canary_percent_before"], own["canary_percent"])
              for own in world.actions("imdsv2-canary-raise")]  # fmt: skip
    assert raised == [(0, 5), (5, 25), (25, 50), (50, 100)]
    # Each step is a change of modes too.
    assert len(world.actions("imdsv2-mode-change")) == 4


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kinds", "most"),
    [
        # Everybody would break: the first step shows it.
        ({"v1": 300}, 5),
        ({"v1_script": 300}, 5),
        # One in twenty.
        ({"v1": 15, "v2": 285}, 25),
        # Machines whose cloud-init is new and whose application is not.
        ({"mixed": 60, "v2": 240}, 25),
        ({"v1": 100, "v2": 100, "quiet": 100}, 5),
    ],
)
def test_a_fleet_that_would_break_falls_back(
    tmp_path: Path, kinds: dict[str, int], most: int, seed: int
) -> None:
    world = World(tmp_path, FIRST, seed, **kinds)
    asyncio.run(world.run(8))
    assert world.percent == 0
    assert world.percents[-1] == 0
    assert max(world.percents) <= most
    assert world.most_held <= 300 * max(world.percents) // 100
    assert 0 < len(world.affected) <= world.most_held
    assert world.held() == set()
    # Back once, and it stays there.
    assert len(world.actions("imdsv2-canary-fallback")) == 1
    assert world.percents.count(0) == 1
    before = set(world.affected)
    asyncio.run(world.run(4))
    assert world.affected == before
    assert world.percent == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_what_machines_did_before_is_no_proof(tmp_path: Path, seed: int) -> None:
    """A script that asks once, and got its data while it was free to, breaks all the same."""
    world = World(tmp_path, "mode: observe\n", seed, v1_script=300)
    asyncio.run(world.run(3))
    assert (world.percents, world.affected) == ([], set())
    world.write(FIRST)
    asyncio.run(world.run(4))
    assert world.percents == [5, 0]
    assert len(world.affected) <= 15


def test_what_was_asked_before_the_canary_came_and_is_told_late_is_no_proof(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, FIRST, 13, v1_script=300)
    everybody = [replace(FREE, vm=name, namespace="shop") for name in world.machines.kinds]
    world.told.late = everybody
    asyncio.run(world.run(1 / 60))
    assert world.percent == 5
    # As the timer does.
    world.told.flush()
    refused = [replace(REFUSED, vm=name, namespace="shop") for name in world.held()]
    world.told.boots(refused)
    asyncio.run(world.run(3 / 60))
    assert world.percent == 0


def test_what_is_wrong_but_not_with_sessions_is_not_the_canary_s_doing(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 14, quiet=300)
    asyncio.run(world.run(1 / 60))
    broken = [replace(OTHER, vm=name, namespace="shop") for name in world.held()]
    world.told.boots(broken)
    asyncio.run(world.run(5 / 60))
    assert len(world.told.boots.stalled) == len(broken)
    assert world.percent == 5


def test_the_message_names_who_was_stalled(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 1, v1=300)
    asyncio.run(world.run(2))
    [message] = [text for text in world.told.messages if "fell back" in text]
    assert message.startswith("the IMDSv2 canary fell back from 5 %: boots were stalled: shop/v1-")
    assert world.told.fallbacks == 1


def test_another_attempt_begins_with_the_same_machines(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 2, v1=30, v2=270)
    asyncio.run(world.run(0.1))
    first = world.held()
    assert len(first) > 5
    asyncio.run(world.run(8))
    assert world.percent == 0
    # What was found is excepted, and the number edited.
    exceptions = "[{vm: shop/v1-*, mode: optional, reason: old image}]"
    world.write(POLICY.format(attempt=2, exceptions=exceptions))
    asyncio.run(world.run(0.1))
    assert world.percent == 5
    kept = {name for name in first if name.startswith("v2-")}
    assert len(kept & world.held()) >= len(kept) - 1
    asyncio.run(world.run(6))
    assert world.percent == 100
    assert len(world.held()) == 270


def test_a_fleet_whose_old_machines_are_excepted_comes_to_the_end(tmp_path: Path) -> None:
    exceptions = "[{vm: shop/v1-*, mode: optional, reason: old image}]"
    world = World(tmp_path, POLICY.format(attempt=1, exceptions=exceptions), 3, v1=100, v2=200)
    asyncio.run(world.run(6))
    assert (world.percent, world.affected) == (100, set())
    assert len(world.held()) == 200


def test_without_evidence_it_stays_where_it_is(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 4, quiet=300)
    asyncio.run(world.run(10))
    assert world.percent == 5


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 5, **INNOCENT)
    asyncio.run(world.run(1.5))
    assert world.percents == [5, 25]
    held = world.held()
    world.restart()
    assert world.held() == held
    assert world.percent == 25
    # A minute of the step at most is forgotten.
    asyncio.run(world.run(0.5 + 2 / 60))
    assert world.percents == [5, 25, 50]


def test_a_restart_forgets_no_fallback(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 6, v1=300)
    asyncio.run(world.run(3))
    world.restart()
    assert world.held() == set()
    asyncio.run(world.run(3))
    assert (world.percent, world.percents) == (0, [5, 0])


def test_what_is_kept_and_cannot_be_read_keeps_it_away(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 7, **INNOCENT)
    asyncio.run(world.run(2))
    (tmp_path / "state/imdsv2/canary.json").write_bytes(b"{")
    world.restart()
    asyncio.run(world.run(2))
    assert world.percent == 0
    (tmp_path / "state/imdsv2/canary.json").unlink()
    (tmp_path / "state/imdsv2/canary.json").mkdir()
    world.restart()
    asyncio.run(world.run(1))
    assert world.percent == 0
    assert b"Is a directory" in world.readiness.page().body
    assert len(world.actions("imdsv2-canary-fallback")) == 2


def test_a_fallback_needs_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, FIRST, 12, v1=300)
    asyncio.run(world.run(0.02))
    assert world.percent == 5

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emulator.runtime.state.State.save", full)
    asyncio.run(world.run(2))
    assert (world.percents, world.held()) == ([5, 0], set())


def test_what_cannot_be_kept_is_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("emulator.runtime.state.State.save", full)
        world = World(tmp_path, FIRST, 8, **INNOCENT)
        asyncio.run(world.run(1))
        assert world.held() == set()
        assert b"No space left" in world.readiness.page().body
    asyncio.run(world.run(0.1))
    assert world.percent == 5
    assert b"imdsv2 canary" not in world.readiness.page().body


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_moves_nothing(tmp_path: Path, jump: float) -> None:
    world = World(tmp_path, FIRST, 9, **INNOCENT)
    asyncio.run(world.run(0.5))
    world.fake.set_by = jump
    asyncio.run(world.run(0.4))
    assert world.percents == [5]
    asyncio.run(world.run(0.2))
    assert world.percents == [5, 25]
    assert world.actions("imdsv2-canary-fallback") == []


def test_a_canary_that_is_taken_out_of_the_policy_requires_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 10, **INNOCENT)
    asyncio.run(world.run(1.5))
    world.write("mode: observe\n")
    for _ in range(2):
        asyncio.run(world.migration.tick())
        world.migration.source.fingerprint()
    assert world.told.canary is None
    world.write(FIRST)
    world.migration.source.fingerprint()
    asyncio.run(world.migration.tick())
    assert world.percent == 25


def test_more_machines_join_at_any_time(tmp_path: Path) -> None:
    world = World(tmp_path, FIRST, 11, **INNOCENT)
    asyncio.run(world.run(2.5))
    assert world.percents == [5, 25, 50]
    one, uuids = world.machines.instances[0], range(5000, 5100)
    before = world.held()
    for number in uuids:
        name = f"more-{number}"
        world.machines.kinds[name] = "v2"
        world.machines.instances.append(replace(one, name=name, uuid=str(UUID(int=number))))
    world.restart()
    asyncio.run(world.run(0.1))
    assert len(before - world.held()) <= 10
    assert 0 < len({name for name in world.held() if name.startswith("more")}) <= 60
