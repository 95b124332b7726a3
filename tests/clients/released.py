"""cloud-init's own classes of data sources, from its releases, against the server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.support.cloudinit_source import Release, python, unpack
from tests.support.crawl import Crawl, crawl

every_release = pytest.mark.parametrize("release", get_args(Release))
NICS = {f"52:54:00:00:00:0{number}": f"enp{number}s0" for number in (1, 2, 3)}


def source(release: Release, description: str, job: dict[str, Any], folder: Path) -> Crawl:
    """Run the class that ``job`` (see ``cloud_init.py``) names, as ``release`` has it."""
    cloud = folder / "cloud"
    cloud.mkdir()
    argument = json.dumps({**job, "folder": str(cloud), "nics": NICS})
    client = [str(python(release)), str(Path(__file__).with_name("cloud_init.py")), argument]
    return crawl(folder, description, client, {"PYTHONPATH": str(unpack(release))})


def decoded(text: str) -> str:
    """Read what a class gave as bytes."""
    return base64.b64decode(text).decode()
