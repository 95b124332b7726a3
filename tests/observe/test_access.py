"""One line for each request, bounded, and never a reason for a guest to wait."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from emulator.errors import StartError
from emulator.observe.access import AccessLog
from emulator.observe.observation import Observation, bounded

SEEN = Observation(
    time=1.0,
    vm="web-1",
    dialect="openstack",
    area="openstack",
    method="GET",
    path="/openstack",
    status=200,
    reason="",
    bytes=3,
    duration_us=7,
    user_agent="curl",
    peer="10.0.0.2",
)


def test_an_observation_is_one_json_line(tmp_path: Path) -> None:
    path = tmp_path / "access"
    log = AccessLog(str(path))
    log(SEEN)
    log(SEEN)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["path"] for line in lines] == ["/openstack"] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_standard_error_is_a_place_too(capfd: pytest.CaptureFixture[str]) -> None:
    AccessLog("-")(SEEN)
    assert json.loads(capfd.readouterr().err)["vm"] == "web-1"


def test_a_log_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot write the access log"):
        AccessLog(str(tmp_path / "missing" / "access"))


def test_a_rotated_log_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "access"
    log = AccessLog(str(path))
    path.rename(tmp_path / "old")
    log.reopen()
    log(SEEN)
    assert path.read_text()
    assert not (tmp_path / "old").read_text()


def test_a_full_disk_costs_no_guest_its_answer() -> None:
    AccessLog("/dev/full")(SEEN)


def test_what_a_guest_chose_is_cut() -> None:
    assert bounded("x" * 200) == "x" * 200
    assert bounded("x" * 10_000) == "x" * 200 + "…"
