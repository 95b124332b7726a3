"""Simulated fleets: hundreds of machines that boot and ask, under a policy with a canary."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from msgspec.structs import replace

from emulator.migration.modes import mode_of
from emulator.model.config import ServeConfig
from emulator.runtime.state import State
from emulator.server.imdsv2 import Migration
from emulator.server.operator import Readiness
from emulator.server.recording import Recording
from tests.observe.test_boots import FREE, GIVEN, REFUSED, TOKEN
from tests.server.support import instance
from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from emulator.model.instance import Instance
    from emulator.observe.observation import Observation

TICK = 10.0
HOUR = 3600.0
MINUTE = 60.0


class Habit(msgspec.Struct, frozen=True):
    """How a machine asks at boot and meanwhile: ``tokens`` or not, how often if refused.

    ``boots`` and ``polls`` are hours between them on average; none without.
    """

    boot_tokens: bool = True
    poll_tokens: bool = True
    tries: int = 1
    boots: float = 2.0
    polls: float = 0.0


HABITS = {
    "v2": Habit(polls=1.0),
    "v2-boot": Habit(),
    "sdk": Habit(boots=0.0, polls=0.5),
    "v1": Habit(boot_tokens=False, poll_tokens=False, tries=6),
    "v1-script": Habit(boot_tokens=False),
    # cloud-init is new, an application of its owner's is not.
    "mixed": Habit(poll_tokens=False, polls=1.0),
    "quiet": Habit(boots=0.0),
}


class Machines:
    """The source of the fleet's descriptions."""

    def __init__(self, folder: Path, kinds: Mapping[str, int]) -> None:
        one = instance(folder, "name: one\nnamespace: shop\ndialects: [ec2]\n")
        self.kinds: dict[str, str] = {}
        self.instances: list[Instance] = []
        for kind, count in kinds.items():
            for number in range(count):
                name = f"{kind}-{number}"
                self.kinds[name] = kind
                uuid = str(UUID(int=len(self.instances) + 1))
                self.instances.append(replace(one, name=name, uuid=uuid))

    def load(self) -> list[Instance]:
        return self.instances

    def fingerprint(self) -> object:
        return 0


class Told(Recording):
    """A recording that keeps events instead of writing them."""

    def __init__(self, fake: FakePorts) -> None:
        super().__init__(ServeConfig(operator="off", imdsv2="given"), fake.ports)
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.messages: list[str] = []
        self.late: list[Observation] = []

    def flush(self) -> None:
        """Tell of what has been answered and not told."""
        late, self.late = self.late, []
        self.boots(late)

    def event(self, action: str, message: str, own: Mapping[str, object]) -> None:
        self.events.append((action, own))
        self.messages.append(message)


class World:
    """A fleet, its server, and the time."""

    def __init__(self, folder: Path, policy: str, seed: int, **kinds: int) -> None:
        self.fake = FakePorts()
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._folder = folder
        self.machines = Machines(folder, {k.replace("_", "-"): v for k, v in kinds.items()})
        self.told = Told(self.fake)
        self.write(policy)
        self.affected: set[str] = set()
        self.most_held = 0
        self.percents: list[int] = []
        self.readiness = Readiness()
        self._due: dict[str, list[tuple[float, Observation]]] = {}
        self.restart()

    def write(self, policy: str) -> None:
        """Have the operator edit the policy."""
        path = self._folder / "imdsv2.yaml"
        self.fake.files[str(path)] = policy.encode()
        path.with_suffix(".new").write_text(policy)
        path.with_suffix(".new").replace(path)

    def restart(self) -> None:
        """Begin anew with nothing but what is kept."""
        events = self.told.events, self.told.messages
        self.told = Told(self.fake)
        self.told.events, self.told.messages = events
        state = State(str(self._folder / "state"))
        path = str(self._folder / "imdsv2.yaml")
        self.migration = Migration(path, self.machines, self.told, state, self.fake.ports)
        self._before = self.migration.source.fingerprint()
        self._serve(self.migration.source.load())
        self.migration.adopt()

    def _serve(self, instances: list[Instance]) -> None:
        self.modes = {one.name: mode_of(one) for one in instances}

    @property
    def percent(self) -> int:
        """Where the canary is."""
        assert self.told.canary is not None
        return self.told.canary

    def held(self) -> set[str]:
        """Give the machines of which tokens are required."""
        return {name for name, mode in self.modes.items() if mode == "required"}

    def actions(self, kind: str) -> list[Mapping[str, object]]:
        """Give what is told of the changes of one ``kind``."""
        return [own for action, own in self.told.events if action == kind]

    async def run(self, hours: float) -> None:
        """Let time pass."""
        for _ in range(int(hours * HOUR / TICK)):
            self.fake.advance(TICK)
            for name, kind in self.machines.kinds.items():
                self._act(name, HABITS[kind])
            await self.migration.tick()
            now = self.migration.source.fingerprint()
            taken = now != self._before
            if taken:
                self._before = now
                self._serve(self.migration.source.load())
            self.migration.settle(self.readiness, taken=taken)
            self.most_held = max(self.most_held, len(self.held()))
            percent = self.told.canary
            if percent is not None and self.percents[-1:] != [percent]:
                self.percents.append(percent)

    def _act(self, name: str, habit: Habit) -> None:
        for every, tokens in ((habit.boots, habit.boot_tokens), (habit.polls, habit.poll_tokens)):
            if every and self._random.random() < TICK / (every * HOUR):
                self._due.setdefault(name, []).extend(self._asks(name, habit, tokens=tokens))
        due = self._due.get(name)
        if due:
            self.told.boots([one for when, one in due if when <= self.fake.now])
            self._due[name] = [pair for pair in due if pair[0] > self.fake.now]

    def _asks(
        self, name: str, habit: Habit, *, tokens: bool
    ) -> Iterator[tuple[float, Observation]]:
        mine = {"vm": name, "namespace": "shop"}
        if tokens:
            yield self.fake.now, replace(TOKEN, **mine)
            yield self.fake.now, replace(GIVEN, **mine)
        elif self.modes[name] != "required":
            yield self.fake.now, replace(FREE, **mine)
        else:
            self.affected.add(name)
            for turn in range(habit.tries):
                yield self.fake.now + turn * TICK, replace(REFUSED, **mine)
