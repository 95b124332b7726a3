"""The report names cloud-init where it asks without a token, and passes it where it has one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emulator.cli import main
from tests.clients.released import every_release, source
from tests.clients.test_cloud_init_ec2 import AWS, LEAST, OTHER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cloudinit_source import Release

pytestmark = [pytest.mark.client, pytest.mark.namespace]

OBSERVED = "dialects: {ec2: {tokens: observe}}\n"


@every_release
def test_cloud_init_is_held_to_what_it_did(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name, job in (("aws", AWS), ("other", OTHER)):
        (tmp_path / name).mkdir()
        assert source(release, LEAST + OBSERVED, job, tmp_path / name).result["loaded"]
        (tmp_path / name / "audit.jsonl").rename(kept / f"{name}.jsonl")
    assert main(["report", "--each", "--format", "json", str(kept)]) == 1
    aws, other = json.loads(capsys.readouterr().out)
    assert (aws["verdict"], aws["callers"]) == ("passes", [])
    assert other["verdict"] == "would break"
    by_agent = {caller["user_agent"].partition("/")[0]: caller for caller in other["callers"]}
    assert "another cloud's" in by_agent.pop("Cloud-Init")["advice"]
    # An old release gives its name with its first requests only.
    assert list(by_agent) == (["python-requests"] if release == "debian-12" else [])
    assert all("if that is named" in caller["advice"] for caller in by_agent.values())
