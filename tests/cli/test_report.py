"""Who would be refused if IMDSv2 was required, told by what real clients did."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from emulator.cli import main
from emulator.observe.advice import advice
from emulator.observe.audit import Line, change, read
from emulator.observe.callers import find, together
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


def botocore(endpoint: str) -> None:
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environ = {**os.environ, **nowhere, "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, "-c", FETCH], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "iam-role\n"


@contextmanager
def behind_a_proxy(server: Serving) -> Iterator[str]:
    """Give an address that leads to ``server``, but lets no PUT through."""
    host = server.url.removeprefix("http://")

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            onward = http.client.HTTPConnection(host, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            onward.request("GET", self.path, headers=headers)
            answer = onward.getresponse()
            body = answer.read()
            onward.close()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()


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
                botocore(server.url)
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
    assert main(["report", "--each", str(logs)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert lines == ["new.jsonl: passes", "old.jsonl: would break", "silent.jsonl: no evidence"]
    new, silent = str(logs / "new.jsonl"), str(logs / "silent.jsonl")
    assert main(["report", "--each", new]) == 0
    assert main(["report", "--each", new, silent]) == 3
    assert main(["report", "--each", "--allow-no-evidence", new, silent]) == 0
    assert main(["report", "--each", "--allow-no-evidence", str(logs)]) == 1


def test_verdicts_are_for_programs_too(logs: Path, capsys: Capture) -> None:
    main(["report", "--each", "--format", "json", str(logs)])
    found = json.loads(capsys.readouterr().out)
    assert [(one["place"], one["verdict"], len(one["callers"])) for one in found] == [
        ("new.jsonl", "passes", 0),
        ("old.jsonl", "would break", 2),
        ("silent.jsonl", "no evidence", 0),
    ]
    main(["report", "--each", "--format", "csv", str(logs)])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["verdict"] for row in rows] == ["passes", "would break", "would break",
                                                "no evidence"]  # fmt: skip


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


def test_who_was_refused_and_came_back_with_a_token_is_none() -> None:
    refused = Line(
        time="2026-01-01T00:00:00.000Z",
        vm="a",
        session="absent",
        reason="session-missing",
        method="GET",
        path="/latest/user-data",
        user_agent="x",
    )
    back = replace(refused, session="given", reason="")
    bad = replace(back, reason="session-invalid")
    assert find([refused, back]).refused == []
    [caller] = find([back, refused, bad]).refused
    assert (caller.requests, caller.refused, caller.paths) == (0, 1, {"/latest/user-data": 1})
    [same] = together([find([refused]), find([refused])]).refused
    assert same.refused == 2


def test_a_guest_of_many_names_fills_no_memory() -> None:
    def lines() -> Iterator[Line]:
        for number in range(20_000):
            yield Line(
                time="2026-01-01T00:00:00.000Z",
                vm=f"{number % 7_000}",
                session="absent",
                path=f"/{number}",
                user_agent=f"{number}",
                method="GET",
            )
            yield Line(
                time="2026-01-01T00:00:00.000Z",
                vm="one",
                session="absent",
                path="/",
                user_agent=f"{number}",
                method="GET",
            )

    found = find(lines())
    of_one = [caller for caller in found.callers if caller.vm == "one"]
    assert len(of_one) == 51
    assert sum(caller.requests for caller in of_one) == 20_000
    assert len(found.callers) <= 5_001
    assert sum(caller.requests for caller in found.callers) == 40_000


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
        ("aws-sdk-go-v2/0.18.0", "AWS SDK for Go v2 0.19.0"),
        ("aws-sdk-java/2.9.1", "Java 2.10.21"),
        ("aws-sdk-dotnet-45/3.3.0", ".NET 3.3.634.1"),
        ("Botocore/1.13.25", "let its PUT through"),
        ("Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1", "let its PUT through"),
        ("Cloud-Init/22.4.2", "another cloud's"),
        ("Cloud-Init", "cloud-init 19.4"),
        ("aws-sdk-java/1.11.500", "Java 1.11.678"),
        ("Cloud-Init/19.3", "cloud-init 19.4"),
        ("python-requests/2.31.0", "a script"),
        ("", "find the program"),
    ],
)
def test_known_clients_have_advice(agent: str, told: str) -> None:
    assert told in advice(agent).what


def test_a_machine_that_is_observed_says_whom_it_spares(tmp_path: Path) -> None:
    with served(tmp_path / "vm", "old") as server:
        curl(server, server.url + "/latest/user-data")
        botocore(server.url)
        assert server.stop() == 0
    spared = [
        line.spared for line in map(read, server.log.read_bytes().splitlines()) if line is not None
    ]
    assert spared[0] == "session-missing"
    assert set(spared[1:]) == {""}


def test_a_new_client_whose_token_is_blocked_is_named_with_what_is_wrong(
    tmp_path: Path, capsys: Capture
) -> None:
    with served(tmp_path / "vm", "blocked") as server:
        with behind_a_proxy(server) as endpoint:
            botocore(endpoint)
        server.seen()
        assert main(["report", "--format", "json", str(server.log)]) == 1
        [caller] = json.loads(capsys.readouterr().out)["callers"]
        assert "otocore" in caller["user_agent"]
        assert "let its PUT through" in caller["advice"]
        assert set(caller["paths"]) == {
            "/latest/meta-data/iam/security-credentials",
            "/latest/meta-data/iam/security-credentials/web",
        }


@pytest.mark.parametrize("unix", [False, True])
def test_a_running_server_is_asked(tmp_path: Path, capsys: Capture, *, unix: bool) -> None:
    folder = tmp_path / "vm"
    folder.mkdir()
    (folder / "vm.yaml").write_text(DESCRIPTION.format(name="old"))
    where = f"unix:{folder}/operator" if unix else "127.0.0.1:0"
    with Serving(folder, str(folder / "vm.yaml"), operator=where) as server:
        place = where if unix else server.operator
        assert main(["report", place]) == 3
        botocore(server.url)
        assert main(["report", place]) == 0
        curl(server, server.url + "/latest/user-data")
        capsys.readouterr()
        assert main(["report", place]) == 1
        assert capsys.readouterr().out.startswith(
            "1 of 1 VMs would be refused something\nshop/old"
        )
        assert main(["report", "--each", place]) == 1
        assert capsys.readouterr().out.startswith(f"{place}: would break\n")
        # With a log beside it, both count.
        assert main(["report", "--format", "json", place, str(server.log)]) == 1
        both = json.loads(capsys.readouterr().out)
        assert [caller["requests"] for caller in both["callers"]] == [2]
        assert main(["report", "--since", "2999-01-01", place]) == 0


def test_a_server_that_requires_tokens_says_who_is_refused(
    tmp_path: Path, capsys: Capture
) -> None:
    text = DESCRIPTION.format(name="kept").replace("observe", "required")
    (tmp_path / "vm.yaml").write_text(text)
    with Serving(tmp_path, str(tmp_path / "vm.yaml")) as server:
        curl(server, server.url + "/latest/user-data")
        botocore(server.url)
        # Nobody lives by it.
        assert main(["report", server.operator]) == 0
        assert "  is refused already: 1 request, last at" in capsys.readouterr().out
        # But an image that was booted so breaks.
        server.seen()
        assert main(["report", "--each", str(server.log)]) == 1


def test_a_server_that_is_none_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert main(["report", f"unix:{tmp_path}/none"]) == 2
    assert "none: No such file or directory" in capsys.readouterr().err
    with served(tmp_path / "vm", "old") as server:
        assert main(["report", server.url]) == 2
        assert "/imdsv2: 404 Not Found" in capsys.readouterr().err
        assert main(["report", server.url.replace("http:", "https:")]) == 2
        assert "imds-emulator report: " in capsys.readouterr().err


BOOTED = {"vm": "image", "outcome": "done"}


@pytest.mark.parametrize(
    ("requests", "code", "said"),
    [
        ([{"path": "/latest/user-data", "session": "given"}], 0, "passes"),
        ([{"path": "/latest/user-data", "session": "absent"}], 1, "would break"),
        ([{"path": "/latest/user-data", "session": ""}], 3, "no evidence"),
        (
            [{"path": "/latest/user-data", "session": "absent", "reason": "session-missing"}],
            1,
            "would break",
        ),
        ([], 3, "no evidence"),
    ],
)
def test_a_boot_s_report_tells_of_its_image(
    tmp_path: Path, capsys: Capture, requests: list[dict[str, str]], code: int, said: str
) -> None:
    (tmp_path / "debian-12.json").write_text(
        json.dumps({**BOOTED, "requests": requests}, indent=1)
    )
    assert main(["report", "--each", str(tmp_path)]) == code
    assert capsys.readouterr().out.startswith(f"debian-12.json: {said}\n")


def test_json_that_is_no_boot_s_report_is_no_evidence(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.json").write_text('{\n"vm": 1\n}\n')
    assert main(["report", str(tmp_path)]) == 3
    assert capsys.readouterr().err == "3 lines were none of an audit log\n"
