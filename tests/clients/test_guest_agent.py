"""Google's guest agent, as Debian has it, lives off the server: it makes users and their keys.

It runs in a file system of its own, made of Debian's packages and kept in memory, with no
capability to touch the machine's clock.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import google_agent
from tests.support.crawl import ROOT, Crawl, crawl
from tests.support.guest import ED25519, RSA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = [
    pytest.mark.client,
    pytest.mark.namespace,
    pytest.mark.xdist_group("guest-agent"),  # one of them makes the file system
]

SCRIPT = Path(__file__).with_name("guest_agent.py")
V1 = "/computeMetadata/v1"
POLL = f"GET {V1}//?recursive=true&alt=json&wait_for_change=true&timeout_sec=60&last_etag="
KINDS = ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"]
STEPS = [[ED25519], [ED25519, RSA], [], [RSA]]
VM = """\
name: web-1
dialects: [gce]
meta: {enable-guest-attributes: "TRUE"}
"""


def described(*keys: str) -> str:
    named = [{"name": f"key{index}", "key": key} for index, key in enumerate(keys)]
    return f"{VM}gce: {{ssh_user: ada}}\npublic_keys: {json.dumps(named)}\n"


@pytest.fixture(scope="module")
def archive() -> Path:
    return google_agent.archive()


def run(
    archive: Path,
    folder: Path,
    description: str,
    program: str,
    *arguments: str,
    changes: Sequence[dict[str, Any]] = (),
) -> Crawl:
    job = {
        "archive": str(archive),
        "folder": str(folder / "root"),
        "instance": str(folder / "instance.yaml"),
        "program": f"/usr/bin/{program}",
        "arguments": arguments,
        "changes": changes,
    }
    done = crawl(
        folder,
        description,
        [sys.executable, str(SCRIPT), json.dumps(job)],
        {"PYTHONPATH": str(ROOT)},
        names=["metadata.google.internal"],
        users=True,
    )
    assert {request.rpartition(" ")[2] for request in done.requests} == {"200"}, done.requests
    return done


@pytest.fixture(scope="module")
def agent(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the agent, and change the keys that are described while it runs."""
    changes = [{"text": described(*keys), "has": keys} for keys in STEPS]
    folder = tmp_path_factory.mktemp("agent")
    done = run(archive, folder, described(), "google_guest_agent", changes=changes)
    result: dict[str, Any] = done.result
    return result


def test_keys_come_and_go_while_it_runs(
    agent: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    for change in agent["changes"]:
        record_property("seconds", change["seconds"])
    assert [change["keys"] for change in agent["changes"]] == STEPS, agent["log"]
    assert agent["log"].count("Creating user ada.") == 1
    uid, home = agent["users"]["ada"]
    assert home == "/home/ada"
    assert (agent["owner"], agent["mode"]) == (uid, "0o600")


def test_it_waits_for_each_change(agent: dict[str, Any]) -> None:
    polls = [line for line in agent["lines"] if "wait_for_change" in line]
    first, *tags = [line.removeprefix(POLL) for line in polls]
    assert first == "NONE"
    assert len(tags) > len(STEPS)
    assert all(re.fullmatch("[0-9a-f]{16}", tag) for tag in tags), polls
    # Two in a row would say that it was answered without a change.
    assert all(before != after for before, after in pairwise(tags)), polls


def test_it_writes_guest_attributes(agent: dict[str, Any]) -> None:
    assert [key.split()[0] for key in agent["host_keys"]] == KINDS
    names = ["guest-agent/sshable", *(f"hostkeys/{kind}" for kind in KINDS)]
    written = sorted(line for line in agent["lines"] if line.startswith("PUT "))
    assert written == [f"PUT {V1}/instance/guest-attributes/{name}" for name in names]


def test_a_startup_script_is_run(archive: Path, tmp_path: Path) -> None:
    script = "#!/bin/sh\necho said $((6 * 7)) | tee /said\n"
    section = {"attributes": {"startup-script": script}}
    description = f"{VM}gce: {json.dumps(section)}\n"
    done = run(archive, tmp_path, description, "google_metadata_script_runner", "startup")
    assert done.result["said"] == "said 42\n", done.result["log"]
    assert "startup-script exit status 0" in done.result["log"]
    attributes = f"GET {V1}/instance/attributes/?recursive=true&alt=json"
    assert done.result["lines"][-1].startswith(attributes)
