"""A source whose machines are held to the fleet's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from emulator.errors import ConfigError, Problem
from emulator.migration.governed import Governed
from emulator.migration.modes import mode_of
from tests.server.support import instance
from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.model.instance import Instance

DAY = 86_400.0


class FakeSource:
    """Descriptions that a test changes, and how often they were read."""

    def __init__(self, *instances: Instance) -> None:
        self.state = 0
        self.reads = 0
        self.broken = False
        self.instances = list(instances)

    def load(self) -> list[Instance]:
        self.reads += 1
        if self.broken:
            raise ConfigError(Problem("a.yaml", 1, "name", "nothing", "text"))
        return list(self.instances)

    def fingerprint(self) -> object:
        return self.state


class Fleet:
    """A governed source as the reloader uses it."""

    def __init__(self, folder: Path, policy: str, *names: str) -> None:
        self.fake = FakePorts()
        self._path = folder / "imdsv2.yaml"
        self.write(policy)
        text = "name: {}\nnamespace: shop\ndialects: [ec2]\n"
        self.inner = FakeSource(*(instance(folder, text.format(name)) for name in names))
        self.source = Governed(str(self._path), self.inner, self.fake.ports)
        self.before: object = None

    def write(self, policy: str) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(policy)
        self.fake.files[str(self._path)] = policy.encode()
        partial.replace(self._path)

    def modes(self) -> list[str] | None:
        """Give the machines' modes, None if nothing has changed."""
        now = self.source.fingerprint()
        if now == self.before:
            return None
        self.before = now
        return [mode_of(one) for one in self.source.load()]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, "mode: observe\n", "one", "two")


def test_a_changed_policy_is_in_force_without_reading_descriptions_again(fleet: Fleet) -> None:
    assert fleet.modes() == ["observe", "observe"]
    assert fleet.modes() is None
    assert fleet.source.changes == []
    fleet.write("mode: required\nexceptions: [{vm: shop/one, mode: optional, reason: old}]\n")
    assert fleet.modes() == ["optional", "required"]
    assert fleet.inner.reads == 1
    [change] = fleet.source.changes
    assert (change.mode, change.exceptions, change.changed) == ("required", 1, 2)
    assert change.vms == {"off": 0, "optional": 1, "observe": 0, "required": 1}
    assert change.names == ("shop/one", "shop/two")


def test_a_broken_policy_leaves_the_last_good_one(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.modes()
    fleet.write("mode: strict\n")
    assert fleet.modes() is None
    assert fleet.modes() is None
    assert caplog.text.count('found "strict"') == 1
    assert 'found "strict"' in fleet.source.problem
    fleet.inner.state += 1
    assert fleet.modes() == ["observe", "observe"]
    fleet.write("mode: required\n")
    assert fleet.modes() == ["required", "required"]
    assert fleet.source.problem == ""


def test_a_policy_that_goes_away_leaves_the_last_good_one(fleet: Fleet, tmp_path: Path) -> None:
    fleet.modes()
    (tmp_path / "imdsv2.yaml").unlink()
    assert fleet.modes() is None
    assert "no such file" in fleet.source.problem


def test_an_exception_ends_by_itself(tmp_path: Path) -> None:
    text = "mode: required\nexceptions: [{{vm: shop/*, mode: observe, reason: x, until: {}}}]\n"
    # FakePorts begins in the morning of this day.
    fleet = Fleet(tmp_path, text.format("2027-01-15"), "one")
    assert fleet.modes() == ["observe"]
    fleet.fake.advance(DAY)
    assert fleet.modes() == ["required"]
    assert [change.changed for change in fleet.source.changes] == [1]


def test_changed_descriptions_are_read_and_are_no_change_of_the_policy(fleet: Fleet) -> None:
    fleet.modes()
    fleet.inner.state += 1
    fleet.inner.instances = [replace(fleet.inner.instances[0], type="large")]
    assert fleet.modes() == ["observe"]
    assert fleet.source.changes == []


def test_what_is_loaded_although_nothing_changed_is_read_again(fleet: Fleet) -> None:
    fleet.modes()
    fleet.source.load()
    assert fleet.inner.reads == 2


def test_a_policy_holds_although_descriptions_are_broken(fleet: Fleet) -> None:
    fleet.modes()
    fleet.inner.broken = True
    fleet.inner.state += 1
    with pytest.raises(ConfigError):
        fleet.modes()
    fleet.write("mode: required\n")
    assert fleet.modes() == ["required", "required"]
    # That they are broken is said again.
    with pytest.raises(ConfigError):
        fleet.modes()
    assert fleet.modes() is None
    fleet.inner.broken = False
    fleet.inner.state += 1
    assert fleet.modes() == ["required", "required"]
