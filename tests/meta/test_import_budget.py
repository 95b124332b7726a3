"""What ``serve`` loads: every module is paid for once per VM, in memory and at start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Heavy, or of no use to a guest. asyncio, tornado and msgspec are what serving is made of.
BANNED = (
    "cryptography",
    "emulator.boot",
    "emulator.console",
    "emulator.setup",
    "emulator.sidecar",
    "emulator.testing",
    "emulator.webhook",
    "botocore",
    "opentelemetry",
    "pyroute2",
    "tornado.web",
)
MOST_MODULES = 400

# ``-X importtime`` writes one such line for each module when its import ends.
IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)
LISTENING = re.compile(r"^listening on ", re.MULTILINE)


def measured(*arguments: str) -> list[str]:
    """Run ``imds-emulator`` with ``arguments`` until it listens or ends; list what it loaded."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    command = [sys.executable, "-X", "importtime", "-m", "emulator", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        output = ""
        for line in process.stderr:
            output += line
            if LISTENING.match(line):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 0, output[-2000:]
    return IMPORTED.findall(output)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Give what serving a minimal instance loads; its token is a file, so nothing is signed."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "vm.yaml").write_text(f"name: web-1\ntokens:\n- file: {folder}/token\n")
    (folder / "token").write_text("not asked for")
    return measured(
        "serve",
        str(folder / "vm.yaml"),
        "--listen=127.0.0.1:0",
        f"--operator=unix:{folder}/operator",
        f"--state={folder}/state",
    )


@pytest.mark.xdist_group("import-budget")
@pytest.mark.parametrize("module", BANNED)
def test_serve_does_not_load(loaded: list[str], module: str) -> None:
    assert "emulator.server" in loaded  # the measurement sees modules at all
    assert [name for name in loaded if name == module or name.startswith(f"{module}.")] == []


@pytest.mark.xdist_group("import-budget")
def test_serve_loads_few_modules(loaded: list[str]) -> None:
    assert len(loaded) <= MOST_MODULES


def test_a_bare_command_line_loads_no_server() -> None:
    loaded = measured("--help")
    assert [name for name in loaded if name.startswith(("emulator.server", "tornado"))] == []
