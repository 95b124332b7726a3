"""The sample, as the demo boots it: no description given, the disk's own loader."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.guest.conftest import LIMIT, Report, slot

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.boot.images.cache import Image

# OpenStack's documents and the tree of EC2's, which its datasource reads too.
LEAST_REQUESTS = 80


@pytest.fixture
def report(image: Image, tmp_path: Path) -> Report:
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "emulator", "boot"]
    command += [image.disk, "--json", "--state", str(tmp_path), "--timeout", str(LIMIT)]
    with slot():
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT + 600
        )
    return Report(done)


def check_it_finishes_with_its_datasource(report: Report) -> None:
    assert (report.exit, report.said["outcome"]) == (0, "done"), report
    assert report.said["vm"] == "sample"
    assert report.said["datasource"].startswith("DataSourceOpenStack")


def check_every_request_is_answered(report: Report) -> None:
    requests = report.said["requests"]
    assert len(requests) >= LEAST_REQUESTS
    assert [request for request in requests if request["status"] != 200] == []


def check_the_guest_fetches_its_token(report: Report) -> None:
    assert "/v1/token" in report.paths


@pytest.mark.guest
def test_the_sample_on_debian_12(report: Report, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_finishes_with_its_datasource,
        check_every_request_is_answered,
        check_the_guest_fetches_its_token,
    ):
        with subtests.test(check.__name__):
            check(report)
