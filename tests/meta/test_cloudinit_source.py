"""The crawl tests stand on these: each release's cloud-init imports, and is the one it says."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import cloudinit_source
from tests.support.cloudinit_source import Release

PROGRAM = """
from cloudinit import sources, version
from cloudinit.sources import DataSourceEc2, DataSourceNoCloud, DataSourceOpenStack
print(version.version_string())
print(DataSourceOpenStack.__file__)
"""


@pytest.mark.client
@pytest.mark.xdist_group("cloudinit-source")
@pytest.mark.parametrize(("release", "version"), [("debian-12", "22.4.2"), ("current", "25.")])
def test_real_datasources_import(release: Release, version: str) -> None:
    folder = cloudinit_source.unpack(release)
    done = subprocess.run(
        [cloudinit_source.python(release), "-c", PROGRAM],
        env={"PYTHONPATH": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    reported, module = done.stdout.splitlines()
    assert reported.startswith(version)
    assert module.startswith(str(folder))
