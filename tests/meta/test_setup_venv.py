"""The checkout's environment is made and filled once, and again only when something changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.setup import venv
from emulator.setup.errors import SetupError

PYTHON = """#!/bin/sh
case "$1 $2" in
"-c "*) exit 0 ;;
"-m pip") shift 2; echo "$*" >> "$(dirname "$0")/../../pip"; exit ${PIP_EXIT:-0} ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout, and a Python whose venv module makes an interpreter that notes pip runs."""
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    base = tmp_path / "base-python"
    inner = tmp_path / "inner-python"
    inner.write_text(PYTHON)
    inner.chmod(0o755)
    base.write_text(
        f'#!/bin/sh\nmkdir -p "$4/bin"\ncp {inner} "$4/bin/python"\necho >> {base}.runs'
    )
    base.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(base))
    return tmp_path


def pip_runs(checkout: Path) -> list[str]:
    return (checkout / "pip").read_text().splitlines()


def test_made_once(checkout: Path) -> None:
    for _ in range(2):
        venv.Environment(checkout).ensure("dev")
    assert pip_runs(checkout) == [f"install --quiet --editable {checkout}[dev]"]
    assert (checkout / "base-python.runs").read_text() == "\n"


def test_the_larger_set_serves_the_smaller(checkout: Path) -> None:
    venv.Environment(checkout).ensure("dev")
    venv.Environment(checkout).ensure()
    assert len(pip_runs(checkout)) == 1


def test_the_smaller_set_does_not_serve_the_larger(checkout: Path) -> None:
    venv.Environment(checkout).ensure()
    venv.Environment(checkout).ensure("dev")
    assert [run.removeprefix("install --quiet --editable ") for run in pip_runs(checkout)] == [
        str(checkout),
        f"{checkout}[dev]",
    ]


def test_changed_project_is_installed_again(checkout: Path) -> None:
    venv.Environment(checkout).ensure()
    (checkout / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    venv.Environment(checkout).ensure()
    assert len(pip_runs(checkout)) == 2


def test_lost_interpreter_is_replaced(checkout: Path) -> None:
    environment = venv.Environment(checkout)
    environment.ensure()
    environment.python.unlink()
    environment.ensure()
    assert len(pip_runs(checkout)) == 2


def test_failed_install_is_told_and_tried_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXIT", "1")
    with pytest.raises(SetupError, match=r"this failed, see above: .* pip install"):
        venv.Environment(checkout).ensure()
    monkeypatch.delenv("PIP_EXIT")
    venv.Environment(checkout).ensure()
    assert len(pip_runs(checkout)) == 2


def test_interpreter_without_pip_does_not_work(checkout: Path) -> None:
    environment = venv.Environment(checkout)
    environment.ensure()
    environment.python.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run([environment.python], check=False).returncode == 1
    environment.ensure()
    assert (checkout / "base-python.runs").read_text() == "\n\n"
