"""A change is taken over whole; a broken one leaves the last good state in service."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError, Problem
from emulator.model.instance import Instance
from emulator.server.lastgood import LastGood
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from emulator.server.reload import Reloader
from tests.server.support import Bench, instance


class FakeSource:
    """Descriptions that a test changes."""

    def __init__(self, *instances: Instance) -> None:
        self.state = 0
        self.instances = list(instances)
        self.broken = False
        self.failure: Exception | None = None

    def change(self, *instances: Instance, broken: bool = False) -> None:
        self.state += 1
        self.instances = list(instances)
        self.broken = broken

    def load(self) -> list[Instance]:
        if self.failure:
            raise self.failure
        if self.broken:
            raise ConfigError(Problem("web-1.yaml", 3, "name", "nothing", "text"))
        return self.instances

    def fingerprint(self) -> object:
        return self.state


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def one(tmp_path: Path) -> Instance:
    return instance(tmp_path, "name: one")


@pytest.fixture
def two(tmp_path: Path) -> Instance:
    return instance(tmp_path, "name: two")


def reloader(source: FakeSource, bench: Bench, last_good: LastGood | None = None) -> Reloader:
    nobody = Proxies(frozenset(), b"")
    return Reloader(source, bench.backing, sole=False, proxies=nobody, last_good=last_good)


def test_nothing_changes_while_nothing_changed(bench: Bench, one: Instance) -> None:
    made = reloader(FakeSource(one), bench)
    assert made.again(made.first()) is None


def test_a_change_is_taken_over_and_what_is_equal_is_kept(
    bench: Bench, one: Instance, two: Instance
) -> None:
    source = FakeSource(one)
    made = reloader(source, bench)
    first = made.first()
    source.change(one, two)
    second = made.again(first)
    assert second is not None
    assert [machine.instance.name for machine in second.machines] == ["one", "two"]
    assert second.machines[0] is first.machines[0]


def test_broken_input_is_reported_once_and_never_taken(
    bench: Bench, one: Instance, two: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource(one)
    made = reloader(source, bench)
    first = made.first()
    source.change(broken=True)
    with caplog.at_level(logging.ERROR):
        assert made.again(first) is None
        assert made.again(first) is None
    assert caplog.text.count("web-1.yaml:3") == 1
    assert "web-1.yaml:3" in made.problem
    source.change(two)
    assert made.again(first) is not None
    assert made.problem == ""
    assert (made.taken, made.failed) == (1, 1)


def test_when_descriptions_were_last_taken_over_is_known(
    bench: Bench, one: Instance, two: Instance
) -> None:
    source = FakeSource(one)
    made = reloader(source, bench)
    first = made.first()
    started = bench.fake.now
    bench.fake.advance(10)
    source.change(broken=True)
    made.again(first)
    assert made.good == started
    source.change(two)
    made.again(first)
    assert made.good == started + 10


def test_what_cannot_be_rendered_is_broken_input(tmp_path: Path, bench: Bench) -> None:
    source = FakeSource(instance(tmp_path, "name: one"))
    made = reloader(source, bench)
    first = made.first()
    text = "name: one\nuser_data: {text: '{{ nobody }}', template: true}"
    source.change(instance(tmp_path, text))
    assert made.again(first) is None
    assert "nobody" in made.problem


def test_what_was_not_rendered_in_time_keeps_its_answers(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("emulator.server.reload.EAGER", 0)
    source = FakeSource(instance(tmp_path, "name: one"))
    made = reloader(source, bench)
    first = made.first()
    before = first.machines[0].snapshot
    source.change(instance(tmp_path, "name: one\nuser_data: {text: '{{ x }}', template: true}"))
    second = made.again(first)
    assert second is not None
    with caplog.at_level(logging.ERROR):
        assert second.machines[0].snapshot is before
    assert "one stays as it was" in caplog.text


def test_of_many_changes_only_the_served_state_is_kept(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.server.reload.EAGER", 0)
    source = FakeSource(instance(tmp_path, "name: one"))
    made = reloader(source, bench)
    fleet = made.first()
    served = fleet.machines[0]
    assert served.served is None
    assert served.snapshot.layout.slots
    for kind in ("small", "large"):
        source.change(instance(tmp_path, f"name: one\ntype: {kind}"))
        changed = made.again(fleet)
        assert changed is not None
        fleet = changed
        assert fleet.machines[0].served is served


def test_who_cannot_be_told_apart_is_named(
    bench: Bench, one: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        reloader(FakeSource(one), bench).first()
    assert "one: no request can be told" in caplog.text


def test_sighup_reads_again_whatever_the_fingerprint(bench: Bench, one: Instance) -> None:
    made = reloader(FakeSource(one), bench)
    first = made.first()
    made.forget()
    second = made.again(first)
    assert second is not None
    assert second.machines[0] is not first.machines[0]


def test_what_was_to_be_rendered_anew_is_when_the_source_can_be_read(
    bench: Bench, one: Instance
) -> None:
    source = FakeSource(one)
    made = reloader(source, bench)
    before = made.first()
    made.forget()
    source.change(one, broken=True)
    assert made.again(before) is None
    source.change(one)
    after = made.again(before)
    assert after is not None
    assert after.machines[0] is not before.machines[0]
    source.change(one)
    again = made.again(after)
    assert again is not None
    assert again.machines[0] is after.machines[0]


def test_a_broken_start_stops(bench: Bench) -> None:
    source = FakeSource()
    source.change(broken=True)
    with pytest.raises(ConfigError):
        reloader(source, bench).first()


def last_good(bench: Bench) -> LastGood:
    return LastGood(bench.state, "web-1.yaml", VOCABULARY)


RICH = """
name: rich
dialects: {openstack: {}, nocloud: {}}
user_data: {base64: AAH/}
interfaces: [{mac: "52:54:00:00:00:02", addresses: [10.0.0.2/24]}]
public_keys: []
"""


def test_a_broken_start_may_go_on_from_what_was_good(
    tmp_path: Path, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    rich = instance(tmp_path, RICH)
    source = FakeSource(rich)
    reloader(source, bench, last_good(bench)).first()
    source.change(broken=True)
    with caplog.at_level(logging.CRITICAL):
        again = reloader(source, bench, last_good(bench))
        fleet = again.first()
    assert [machine.instance for machine in fleet.machines] == [rich]
    assert again.problem
    assert (again.good, again.failed) == (0, 1)


def test_what_was_kept_and_cannot_be_rendered_helps_nobody(tmp_path: Path, bench: Bench) -> None:
    text = "name: a\nuser_data: {template: on, text: '{{ nobody }}'}"
    last_good(bench).save([instance(tmp_path, text)])
    source = FakeSource()
    source.change(broken=True)
    with pytest.raises(ConfigError, match=r"web-1\.yaml:3"):
        reloader(source, bench, last_good(bench)).first()


def test_without_anything_kept_a_broken_start_stops(bench: Bench) -> None:
    source = FakeSource()
    source.change(broken=True)
    with pytest.raises(ConfigError):
        reloader(source, bench, last_good(bench)).first()


@pytest.mark.parametrize("kept", [b"{", b'[{"name": "x"}]', b'[{"dialects": {}, "sections": {}}]'])
def test_what_another_version_kept_is_passed_over(bench: Bench, kept: bytes) -> None:
    last_good(bench).save([])
    for path in bench.state.path("last-good").iterdir():
        path.write_bytes(kept)
    assert last_good(bench).load() is None


def test_state_that_cannot_be_written_stops_nobody(
    bench: Bench, one: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    bench.state.path("x").parent.mkdir(parents=True)
    bench.state.path("last-good").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        reloader(FakeSource(one), bench, last_good(bench)).first()
    assert "cannot keep" in caplog.text


def test_a_failure_of_any_kind_is_reported_and_survived(
    bench: Bench, one: Instance, two: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource(one)
    made = reloader(source, bench)
    first = made.first()
    source.failure = IndexError("list index out of range")
    source.change(two)
    with caplog.at_level(logging.ERROR):
        assert made.again(first) is None
    assert "list index out of range" in made.problem
    source.failure = None
    source.change(two)
    assert made.again(first) is not None


GCE = "name: one\ndialects: {gce: {guest_attributes: enabled}}\n"


class Waits:
    """Who waits for a machine."""

    def changed(self, _machine: Machine | None) -> None:
        raise AssertionError("nobody is told here")

    def late(self) -> None:
        raise AssertionError("nobody is told here")


def test_sighup_renders_anew_what_guests_said_and_not_when_they_ask(
    tmp_path: Path, bench: Bench
) -> None:
    made = reloader(FakeSource(instance(tmp_path, GCE)), bench)
    first = made.first()
    [before] = first.machines
    assert before.write("a/b", "said") is None
    made.forget()
    second = made.again(first)
    assert second is not None
    [after] = second.machines
    assert after is not before
    first.hand_over(second)
    rendered = after._snapshot
    assert rendered is not None
    assert after.snapshot is rendered
    assert after.lasting is before.lasting


@pytest.mark.parametrize("waits", [True, False])
def test_what_somebody_waits_for_is_rendered_with_the_first(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> None:
    source = FakeSource(instance(tmp_path, GCE))
    made = reloader(source, bench)
    first = made.first()
    if waits:
        first.machines[0].gathered().add(Waits())
    monkeypatch.setattr("emulator.server.reload.EAGER", 0)
    source.change(instance(tmp_path, f"{GCE}meta: {{a: b}}"))
    second = made.again(first)
    assert second is not None
    assert (second.machines[0]._snapshot is not None) is waits
