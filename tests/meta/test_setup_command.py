"""``python3 -m emulator.setup`` on a machine that has nothing yet."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from emulator.setup import __main__ as command
from emulator.setup import apt, checks, packages
from emulator.setup.errors import SetupError
from emulator.setup.gaps import Gap
from emulator.setup.venv import Environment

ROOT = Path(__file__).resolve().parents[2]


class Done(BaseException):
    """The process became another program."""


class Machine:
    """What the command did to the machine it ran on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.lacking: list[str] = []
        self.gaps: list[str] = []
        self.rights: tuple[str, ...] | None = ()
        monkeypatch.setattr(apt, "missing", lambda names: self.lacking)
        monkeypatch.setattr(apt, "privilege", lambda: self.rights)
        monkeypatch.setattr(apt, "install", self.install)
        monkeypatch.setattr(Environment, "ensure", self.ensure)
        monkeypatch.setattr(checks, "run", self.run)
        monkeypatch.setattr("os.execv", self.execute)

    def install(self, names: list[str]) -> None:
        if names and self.rights is None:
            raise SetupError("as root, run: apt-get")
        self.did += [f"apt {name}" for name in names]

    def ensure(self, extra: str = "") -> None:
        self.did.append(f"venv {extra}".strip())

    def run(self, environment: Environment, gaps: Sequence[Gap], arguments: Sequence[str]) -> int:
        self.gaps = [gap.reason for gap in gaps]
        self.did.append(f"check {' '.join(arguments)}".strip())
        return checks.PASSED

    def execute(self, program: Path, arguments: list[str]) -> None:
        self.did.append(" ".join([program.name, *arguments[1:]]))
        raise Done


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("module", ["emulator", "emulator.setup.__main__"])
def test_needs_the_standard_library_only(module: str) -> None:
    command_line = [sys.executable, "-S", "-c", f"import {module}"]  # -S: no site-packages
    assert subprocess.run(command_line, cwd=ROOT, check=False).returncode == 0


def test_demo_installs_then_boots(machine: Machine) -> None:
    machine.lacking = ["qemu-utils"]
    with pytest.raises(Done):
        command.main(["demo"])
    assert machine.did == ["apt qemu-utils", "venv", "imds-emulator boot debian-12"]


def test_demo_without_rights_stops_first(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.lacking, machine.rights = ["qemu-utils"], None
    assert command.main(["demo"]) == command.CANNOT_CONTINUE
    assert machine.did == []
    assert "as root, run: apt-get" in capsys.readouterr().err


def test_demo_takes_no_arguments(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["demo", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err
    assert machine.did == []


def test_test_installs_then_checks_with_pytests_arguments(machine: Machine) -> None:
    machine.lacking = ["curl"]
    assert command.main(["test", "-k", "token", "tests/core"]) == checks.PASSED
    assert machine.did == ["apt curl", "venv dev", "check -k token tests/core"]


def test_test_without_rights_goes_on_with_a_gap(machine: Machine) -> None:
    machine.lacking, machine.rights = ["mmdebstrap"], None
    assert command.main(["test"]) == checks.PASSED
    assert machine.did == ["venv dev", "check"]
    assert machine.gaps[0].startswith("packages are missing")
    assert machine.gaps[0].endswith(" mmdebstrap")


def test_test_without_rights_needs_an_environment_at_least(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "for_python", lambda: ["python3.11-venv"])
    machine.rights = None
    assert command.main(["test"]) == command.CANNOT_CONTINUE
    assert machine.did == []


def test_tests_do_not_ignore_an_interrupt(machine: Machine) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command.main(["test"])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupt_is_no_traceback(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_names: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(apt, "install", interrupt)
    assert command.main(["demo"]) == command.INTERRUPTED
