"""Who would be refused if IMDSv2 was required, told by what real clients did."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.cli import main
from emulator.observe.audit import Line, change, read
from emulator.observe.callers import advice, find
from tests.server.process import Serving

Capture = pytest.CaptureFixture[str]

DESCRIPTION = """
name: {name}
namespace: shop
dialects: {{ec2: {{tokens: observe}}}}
ec2:
  credentials: {{role: web, provider: generated}}
"""
FETCH = """
from botocore.session import Session
print(Session().get_credentials().method)
"""


def served(folder: Path, name: str) -> Serving:
    folder.mkdir()
    (folder / "vm.yaml").write_text(DESCRIPTION.format(name=name))
    return Serving(folder, str(folder / "vm.yaml"))


def curl(server: Serving, *arguments: str) -> str:
    done = subprocess.run(["curl", "-s", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def botocore(server: Serving) -> None:
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environ = {**os.environ, **nowhere, "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}
    done = subprocess.run(
        [sys.executable, "-c", FETCH], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "iam-role\n"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the logs of three machines: one of old ways, one of new, one silent."""
    folder = tmp_path_factory.mktemp("logs")
    kept = folder / "kept"
    kept.mkdir()
    for name in ("old", "new", "silent"):
        with served(folder / name, name) as server:
            if name == "old":
                assert curl(server, server.url + "/latest/meta-data/instance-id").startswith("i-")
                curl(server, server.url + "/latest/meta-data/no-such-thing")
                curl(server, "-A", "aws-sdk-go/1.20.0", server.url + "/latest/user-data")
            if name != "silent":
                botocore(server)
            server.seen()
        (kept / f"{name}.jsonl").write_bytes(server.log.read_bytes())
    return kept


def test_the_report_names_exactly_the_offenders(logs: Path, capsys: Capture) -> None:
    assert main(["report", str(logs), "--format", "json"]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["machines"]["shop/new"]["without"] == 0
    assert found["machines"]["shop/old"]["without"] == 3
    assert "shop/silent" not in found["machines"]
    by_agent = {caller["user_agent"]: caller for caller in found["callers"]}
    [script] = [agent for agent in by_agent if agent.startswith("curl/")]
    assert set(by_agent) == {script, "aws-sdk-go/1.20.0"}
    assert {caller["vm"] for caller in found["callers"]} == {"old"}
    assert by_agent[script]["paths"] == {
        "/latest/meta-data/instance-id": 1,
        "/latest/meta-data/no-such-thing": 1,
    }
    assert "PUT /latest/api/token" in by_agent[script]["advice"]
    assert "1.25.38" in by_agent["aws-sdk-go/1.20.0"]["advice"]


def test_the_table_is_for_people(logs: Path, capsys: Capture) -> None:
    assert main(["report", str(logs)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("1 of 2 VMs would be refused something\nshop/old  curl/")
    assert "\n  2 requests, last at 20" in said
    assert "\n  /latest/meta-data/instance-id and 1 more\n" in said


def test_rows_are_for_spreadsheets(logs: Path, capsys: Capture) -> None:
    assert main(["report", str(logs), "--format", "csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["vm"], row["requests"]) for row in rows] == [("old", "2"), ("old", "1")]


def test_each_image_has_a_verdict(logs: Path, capsys: Capture) -> None:
    assert main(["report", "--each", str(logs)]) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert lines == ["new.jsonl: passes", "old.jsonl: would break", "silent.jsonl: no evidence"]
    assert main(["report", "--each", str(logs / "new.jsonl")]) == 0


def test_a_rotated_log_is_read_too(logs: Path, tmp_path: Path, capsys: Capture) -> None:
    whole = gzip.compress((logs / "old.jsonl").read_bytes())
    (tmp_path / "audit.jsonl.1.gz").write_bytes(whole)
    assert main(["report", str(tmp_path)]) == 1
    assert not capsys.readouterr().err
    (tmp_path / "audit.jsonl.1.gz").write_bytes(whole[:-20])
    (tmp_path / "more").write_bytes(b"rubbish\n" + change(1.0, "x", "not an access", {}) + b"\n")
    assert main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "2 lines were none of an audit log\n"


def test_what_is_too_old_does_not_count(logs: Path, capsys: Capture) -> None:
    assert main(["report", str(logs), "--since", "2999-01-01"]) == 3
    assert main(["report", str(logs), "--since", "1999-01-01T00:00:00Z"]) == 1


def test_wrong_input_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "none: No such file or directory" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path), "--since", "then"])
    assert ended.value.code == 2
    assert '"then"; allowed: a time such as' in capsys.readouterr().err


def test_what_was_refused_already_breaks_nobody() -> None:
    refused = Line(time="2026-01-01T00:00:00.000Z", vm="a", session="absent", method="GET")
    refused = Line(**{**_fields(refused), "reason": "session-missing"})
    found = find([refused, None])
    assert (found.callers, found.unread, found.machines["/a"].requests) == ([], 1, 1)


def _fields(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


def test_paths_are_bounded() -> None:
    lines = [
        Line(time="2026-01-01T00:00:00.000Z", session="absent", path=f"/{number}", method="GET")
        for number in range(1000)
    ]
    [caller] = find(lines).callers
    assert (caller.requests, len(caller.paths)) == (1000, 50)


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("Boto3/1.9.0 Python/3.6 Botocore/1.12.0", "botocore 1.13.25"),
        ("aws-cli/1.15.0", "AWS CLI 1.16.289"),
        ("aws-sdk-go-v2/0.18.0", "aws-sdk-go-v2 0.19.0"),
        ("aws-sdk-java/1.11.500", "Java 1.11.678"),
        ("Cloud-Init/19.4", "cloud-init 20.1"),
        ("python-requests/2.31.0", "a script"),
        ("", "find the program"),
    ],
)
def test_known_clients_have_advice(agent: str, told: str) -> None:
    assert told in advice(agent)[0]


def test_a_machine_that_is_observed_says_whom_it_spares(tmp_path: Path) -> None:
    with served(tmp_path / "vm", "old") as server:
        curl(server, server.url + "/latest/user-data")
        botocore(server)
        assert server.stop() == 0
    spared = [
        line.spared for line in map(read, server.log.read_bytes().splitlines()) if line is not None
    ]
    assert spared[0] == "session-missing"
    assert set(spared[1:]) == {""}
