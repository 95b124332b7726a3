"""What holds for every file of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written so that this file does not match itself.
FORBIDDEN = {
    "a machine's path": r"/wor[k]/|/roo[t]/\.|/hom[e]/\w+/(src|main|work|projects)\b|\.pyen[v]",
    "a package registry's host": r"deb\.debia[n]\.org|pypi\.or[g]|pythonhoste[d]|npmj[s]\.",
    "a note to self": r"\bTOD[O]\b|#.*\b(FIXM[E]|XX[X])\b",
}


def tracked() -> list[Path]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in tracked()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


def test_ci_script_passes_shellcheck() -> None:
    run_tool("shellcheck", ".ci/run")


def test_dockerfile_passes_hadolint() -> None:
    run_tool("hadolint", "--no-color", "Dockerfile")


def run_tool(name: str, *arguments: str) -> None:
    tool = Path(sys.executable).with_name(name)
    done = subprocess.run(
        [tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
