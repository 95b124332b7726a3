"""The image by itself, run as strictly as it bears: read-only, without rights, as nobody."""

from __future__ import annotations

import json

import pytest

from emulator.cli import COMMANDS
from tests.image.engine import Engine

pytestmark = [pytest.mark.client, pytest.mark.namespace]

STRICT = (
    "--cap-drop=all",
    "--network=none",
    "--read-only",
    "--security-opt=no-new-privileges",
)
ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())
"""
EXPLAIN = """
import subprocess, sys
for command in sys.argv[1:]:
    print(subprocess.check_output(["imds-emulator", command, "--help"], text=True).splitlines()[0])
"""
STATE = """
import pathlib
status = pathlib.Path("/proc/1/status").read_text()
print(*(line for line in status.splitlines() if line.startswith(("Uid", "Gid", "CapEff"))))
pathlib.Path("/var/lib/imds-emulator/written").touch()
try:
    pathlib.Path("/written").touch()
except OSError as error:
    print(error.strerror)
"""


def test_it_serves_as_it_is(engine: Engine, image: str) -> None:
    container = engine.podman("run", "--detach", *STRICT, image)
    engine.logged(container, "listening on 0.0.0.0:16925")
    url = "http://127.0.0.1:16925/openstack/latest/meta_data.json"
    answer = engine.podman("exec", container, "python", "-c", ASK, url)
    assert json.loads(answer)["hostname"] == "sample.demo.example"
    state = engine.podman("exec", container, "python", "-c", STATE)
    assert state.split() == [
        *("Uid:", *["65532"] * 4),
        *("Gid:", *["65532"] * 4),
        *("CapEff:", "0" * 16),
        *("Read-only", "file", "system"),
    ]
    engine.podman("stop", "--time=30", container)
    assert engine.podman("inspect", "--format={{.State.ExitCode}}", container) == "0"


def test_every_command_explains_itself(engine: Engine, image: str) -> None:
    explained = engine.python(image, EXPLAIN, *COMMANDS).splitlines()
    assert [" ".join(line.split()[:3]) for line in explained] == [
        f"usage: imds-emulator {command}" for command in COMMANDS
    ]


def test_certificates_of_the_worlds_authorities_are_trusted(engine: Engine, image: str) -> None:
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    assert int(engine.python(image, count)) > 50


def test_there_is_no_shell(engine: Engine, image: str) -> None:
    done = engine.tried("run", "--rm", "--network=none", "--entrypoint=sh", image)
    assert done.returncode == 127
    assert "executable file not found" in done.stderr
