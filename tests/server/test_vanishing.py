"""A guest that is switched off while it waits is forgotten, though it never said so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 120


@pytest.mark.namespace
def test_a_guest_that_vanishes_while_it_waits_is_forgotten(tmp_path: Path) -> None:
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-m"]
    command += ["tests.server.vanishing", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"waited": True, "gone": True, "left": [0, 0]}
