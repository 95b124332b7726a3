"""The bill of materials, made by the command that docs/image.md names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.image.archive import Archive
from tests.image.engine import Engine

pytestmark = [pytest.mark.client, pytest.mark.namespace]

PYTHON = ("cryptography", "imds-emulator", "jinja2", "msgspec", "pyroute2", "pyyaml", "tornado")
VERSIONS = """
import importlib.metadata, json, sys
json.dump({name: importlib.metadata.version(name) for name in sys.argv[1:]}, sys.stdout)
"""
UNWANTED = re.compile(r"^(apt|bash|binutils|cpp|dash|dpkg|g\+\+|gcc|perl|pip|setuptools)\b")


@pytest.fixture(scope="session")
def packages(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what syft finds, by package URL without version."""
    syft = str(Path(sys.executable).with_name("syft"))
    env = os.environ | {
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("syft")),
    }
    command = [syft, "scan", "--quiet", f"oci-archive:{archive.path}", "--output=cyclonedx-json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    components = json.loads(done.stdout)["components"]
    return {one["purl"].partition("@")[0]: one for one in components if "purl" in one}


def test_python_packages_are_listed_with_their_versions(
    engine: Engine, image: str, packages: dict[str, Any]
) -> None:
    installed = json.loads(engine.python(image, VERSIONS, *PYTHON))
    assert {name: packages[f"pkg:pypi/{name}"]["version"] for name in PYTHON} == installed


def test_nftables_is_listed_with_its_version(
    engine: Engine, image: str, packages: dict[str, Any]
) -> None:
    said = re.match(r"nftables v(\S+) ", engine.once(image, "--version", program="nft"))
    assert said
    assert packages["pkg:deb/debian/nftables"]["version"].partition("-")[0] == said[1]


def test_every_package_of_dpkgs_record_is_listed(
    archive: Archive, packages: dict[str, Any]
) -> None:
    recorded = re.findall(r"^Package: (.+)$", archive.text("var/lib/dpkg/status"), re.MULTILINE)
    assert {f"pkg:deb/debian/{name}" for name in recorded} <= set(packages)


def test_nothing_is_listed_that_only_builds(packages: dict[str, Any]) -> None:
    names = [re.sub(r"^pkg:(deb/debian|pypi)/", "", url) for url in packages]
    assert [name for name in names if UNWANTED.match(name)] == []
