"""A machine is rendered anew when an event's time has come, and only then."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Request
from emulator.dialects.ec2.section import Ec2
from emulator.errors import ConfigError, Problem
from emulator.server.machine import Machine
from tests.server.support import Bench, instance

POLICY = "name: web-1\ndialects: {ec2: {tokens: optional}}\n"
SPOT = "/latest/meta-data/spot/instance-action"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def status(machine: Machine, path: str = SPOT) -> int:
    decision = machine.asked().decide(Request("GET", path, "", HTTPHeaders()), machine)
    assert isinstance(decision.answer, Answer)
    return decision.answer.status


def test_an_event_appears_and_vanishes_at_its_times(bench: Bench) -> None:
    events = "events: [{kind: interruption, notice: start+10s, ends: notice+3m}]\n"
    machine = bench.machine(POLICY + events)
    before = machine.asked()
    assert status(machine) == 404
    bench.fake.advance(9.9)
    assert machine.asked() is before
    bench.fake.advance(0.1)
    assert status(machine) == 200
    bench.fake.advance(180)
    assert status(machine) == 404


def test_an_event_is_to_come_again_once_the_clock_is_set_back(bench: Bench) -> None:
    machine = bench.machine(
        POLICY + "events: [{kind: interruption, notice: start+10s, ends: notice+3d}]\n"
    )
    for day, there in ((86_400, 200), (0, 404), (86_400, 200), (-86_400, 404)):
        bench.fake.set_by = day
        assert status(machine) == there
        assert machine.asked() is machine.asked()


def test_an_offset_from_the_first_request_counts_from_it(bench: Bench) -> None:
    events = "events: [{kind: interruption, notice: first-request+10s}]\n"
    machine = bench.machine(POLICY + events)
    machine.render()
    bench.fake.advance(1000)
    assert status(machine) == 404
    bench.fake.advance(10)
    assert status(machine) == 200


def test_the_first_request_is_remembered_over_a_change(bench: Bench, tmp_path: Path) -> None:
    events = "events: [{kind: interruption, notice: first-request+10s}]\n"
    machine = bench.machine(POLICY + events)
    assert status(machine) == 404
    bench.fake.advance(10)
    changed = instance(tmp_path, POLICY + events + "type: large\n")
    assert status(Machine(changed, bench.backing, machine.served)) == 200


def test_what_cannot_be_rendered_anew_stays_and_is_tried_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = bench.machine(POLICY + "events: [{kind: rebalance, notice: start+10s}]\n")
    before = machine.asked()

    def broken(*_: object) -> None:
        raise ConfigError(Problem("t", 1, "", "a mistake", "none"))

    monkeypatch.setattr("emulator.render.renderer.Renderer.snapshot", broken)
    bench.fake.advance(10)
    with caplog.at_level(logging.ERROR):
        assert machine.asked() is machine.asked() is before
    assert len(caplog.records) == 1


def test_tokens_are_the_machines_own(bench: Bench, tmp_path: Path) -> None:
    machine = bench.machine("name: web-1")
    token = machine.sessions.issue(60)
    assert machine.sessions.remaining(token) == 60
    assert bench.machine("name: web-1").sessions.remaining(token) == 60
    assert bench.machine("name: web-2").sessions.remaining(token) is None


def test_a_role_has_keys(bench: Bench) -> None:
    machine = bench.machine(POLICY + "ec2: {credentials: {role: web}}\n")
    section: Any = machine.instance.sections["ec2"]
    assert isinstance(section, Ec2)
    found = asyncio.run(machine.credentials(section.credentials))
    assert found.access_key_id.startswith("ASIA")
