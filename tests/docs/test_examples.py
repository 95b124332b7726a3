"""Every console block of README and docs is run, and prints what it shows.

Blocks fenced as ``python`` are run as they are. In one fenced as ``console`` a line that starts
with ``$`` is a command, with backslash continuations; the lines below it are its output, where
``...`` stands for anything. The blocks of one page run in one folder, with a server of the sample
at the address that the pages use. A block fenced as ``sh`` is for the reader alone: it installs or
boots something, and other tests hold it.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import DEADLINE, Serving

ROOT = Path(__file__).parents[2]
ADDRESS = "127.0.0.1:16925"
OPERATOR = "127.0.0.1:16926"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})

_matches = doctest.OutputChecker().check_output


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Give command and expected output, in order."""
    for language, block in BLOCK.findall(page):
        if language == "python":
            yield f"python <<'EOF'\n{block}EOF", ""
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, lines = "", part.split("\n")
            while lines:
                command += lines.pop(0) + "\n"
                if not command.endswith("\\\n"):
                    break
            yield command.strip(), "\n".join(lines)


def test_there_are_examples_to_run() -> None:
    found = [command for page in PAGES for command, _ in commands(page.read_text())]
    assert len(found) >= 10


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if BLOCK.search(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_pages_examples_print_what_they_show(page: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    with Serving(tmp_path) as server:
        for command, expected in commands(page.read_text()):
            asked = command.replace(ADDRESS, server.url.removeprefix("http://"))
            asked = asked.replace(OPERATOR, server.operator.removeprefix("http://"))
            done = subprocess.run(
                ["bash", "-c", asked],
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            assert_shown(command, expected.strip("\n"), done)


def assert_shown(command: str, wanted: str, done: subprocess.CompletedProcess[str]) -> None:
    """Hold a command to what the page shows, or where it shows nothing, to its success."""
    printed = done.stdout.replace("\r\n", "\n").strip("\n")
    if not wanted:
        assert done.returncode == 0, f"$ {command}\nfailed:\n{printed}"
        return
    assert _matches(wanted + "\n", printed + "\n", doctest.ELLIPSIS), (
        f"$ {command}\nshould print:\n{wanted}\nprinted:\n{printed}"
    )
