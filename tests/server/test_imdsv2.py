"""``serve --imdsv2``: a fleet is moved from IMDSv1 to IMDSv2 under a running server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emulator.cli import main
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from pathlib import Path

ID = "/latest/meta-data/instance-id"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "vm.yaml").write_text("name: web\nnamespace: shop\ndialects: [ec2]\n")
    path = tmp_path / "imdsv2.yaml"
    path.write_text("mode: observe\n")
    return path


def replaced(path: Path, text: str) -> None:
    (path.parent / "new").write_text(text)
    (path.parent / "new").replace(path)


def test_a_policy_is_followed_while_the_server_runs(tmp_path: Path, policy: Path) -> None:
    with Serving(tmp_path, str(tmp_path / "vm.yaml"), "--imdsv2", str(policy)) as server:
        assert server.get(ID).status_code == 200
        replaced(policy, "mode: required\n")
        until(lambda: server.get(ID).status_code == 401)
        replaced(policy, "mode: rquired\n")
        until(lambda: "imdsv2" in server.ready())
        assert f'{policy}:1: mode: found "rquired"' in server.ready()["imdsv2"]
        assert server.get(ID).status_code == 401
        exception = "exceptions: [{vm: shop/w*, mode: optional, reason: old image}]\n"
        replaced(policy, f"mode: required\n{exception}")
        until(lambda: server.get(ID).status_code == 200)
        assert server.ready() == {}
        assert server.stop() == 0
    changes = [
        line
        for line in map(json.loads, server.log.read_text().splitlines())
        if line["event.action"] == "imdsv2-mode-change"
    ]
    assert [line["imds.vms_by_mode"]["required"] for line in changes] == [1, 0]
    assert changes[1]["imds.vms"] == ["shop/web"]
    assert changes[1]["message"] == (
        "the IMDSv2 policy changed for 1 of 1 VMs: 0 off, 1 optional, 0 observe, 0 required"
    )


def test_a_canary_is_raised_and_told(tmp_path: Path, policy: Path) -> None:
    policy.write_text("mode: observe\ncanary: {steps: [50, 100], hold_seconds: 1, boots: 0}\n")
    with Serving(tmp_path, str(tmp_path / "vm.yaml"), "--imdsv2", str(policy)) as server:
        until(lambda: server.get(ID).status_code == 401)
        assert server.metric("imds_imdsv2_canary_percent") == 100
        assert server.metric("imds_imdsv2_canary_fallbacks_total") == 0
        assert server.metric('imds_vms_by_imdsv2_mode{mode="required"}') == 1
        replaced(policy, "mode: observe\n")
        until(lambda: server.get(ID).status_code == 200)
        assert server.stop() == 0
    raised = [
        (line["imds.canary_percent_before"], line["imds.canary_percent"])
        for line in map(json.loads, server.log.read_text().splitlines())
        if line["event.action"] == "imdsv2-canary-raise"
    ]
    # Of one machine a half is none.
    assert raised == [(0, 50), (50, 100)]
    kept = json.loads((tmp_path / "state/imdsv2/canary.json").read_text())
    assert (kept["percent"], kept["fallen"]) == (100, False)


def test_a_broken_policy_stops_the_start(
    tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write_text("mode: observe\nexceptions: none\n")
    command = ["serve", str(tmp_path / "vm.yaml"), "--imdsv2", str(policy), "--audit=off"]
    command += ["--state", str(tmp_path / "state")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith(f'{policy}:2: exceptions: found "none"; allowed: a list')
