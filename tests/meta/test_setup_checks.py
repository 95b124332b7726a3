"""The test command runs every part, streams it, and ends with pytest's own closing line."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.setup import checks
from emulator.setup.gaps import Gap
from emulator.setup.venv import Environment

CLOSING = "===== 3 passed, 1 deselected in 2.05s ====="
COVERED = '{"files": {}}'


class Tools:
    """A checkout whose environment has stand-ins for every tool."""

    def __init__(self, root: Path) -> None:
        self.environment = Environment(root)
        self.environment.bin.mkdir(parents=True)
        (root / "build").mkdir()
        for _, (program, *_arguments) in checks.STATIC:
            self.stand_in(program, f"echo {program} ran")
        self.pytest(0)

    def stand_in(self, name: str, body: str) -> None:
        file = self.environment.bin / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def pytest(self, code: int, coverage: str = COVERED) -> None:
        report = f"echo '{coverage}' > {checks.REPORT}" if coverage else ""
        self.stand_in("python", f'echo "with $*"\n{report}\necho "{CLOSING}"\nexit {code}')


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def test_all_well(tools: Tools, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert checks.run(tools.environment, [], []) == checks.PASSED
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert "ruff ran" in lines
    assert "mypy ran" in lines
    assert any(line.startswith("with -m pytest -n auto --cov") for line in lines)
    assert lines[-1] == CLOSING


@pytest.mark.parametrize("broken", sorted({program for _, (program, *_) in checks.STATIC}))
def test_one_failing_tool_fails_the_whole_and_stops_nothing(
    tools: Tools, capfdbinary: pytest.CaptureFixture[bytes], broken: str
) -> None:
    tools.stand_in(broken, "exit 1")
    assert checks.run(tools.environment, [], []) == checks.FAILED
    assert capfdbinary.readouterr().out.decode().splitlines()[-1] == CLOSING


@pytest.mark.parametrize("code", [1, 5], ids=["a failed test", "no test at all"])
def test_failing_pytest_fails_the_whole(tools: Tools, code: int) -> None:
    tools.pytest(code)
    assert checks.run(tools.environment, [], []) == checks.FAILED


def test_low_coverage_fails_the_whole(
    tools: Tools, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    summary = '{"num_statements":9,"covered_lines":0,"num_branches":0,"covered_branches":0}'
    tools.pytest(0, f'{{"files":{{"emulator/boot/a.py":{{"summary":{summary}}}}}}}')
    assert checks.run(tools.environment, [], []) == checks.FAILED
    assert b"0.0 %, the floor is" in capfdbinary.readouterr().out


def test_missing_coverage_report_fails_the_whole(tools: Tools) -> None:
    tools.pytest(0, coverage="")
    assert checks.run(tools.environment, [], []) == checks.FAILED


def test_part_of_the_tests_needs_no_coverage(
    tools: Tools, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tools.pytest(0, coverage="")
    assert checks.run(tools.environment, [], ["tests/core", "-k", "token"]) == checks.PASSED
    assert b" tests/core -k token\n" in capfdbinary.readouterr().out


def test_gaps_are_told_and_make_the_run_incomplete(
    tools: Tools, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tools.pytest(0, coverage="")  # no floor is looked at
    gaps = [Gap(("guest", "client"), "no mmdebstrap"), Gap(("guest",), "refused")]
    assert checks.run(tools.environment, gaps, []) == checks.INCOMPLETE
    output = capfdbinary.readouterr().out.decode()
    assert "--without=client --without=guest\n" in output
    assert "NOT RUN: tests marked guest, client: no mmdebstrap" in output


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "..\n\x1b[32m\x1b[1m==== 2 passed in 1.50s ====\x1b[0m\nafter\n",
            "==== 2 passed in 1.50s ====",
        ),
        ("2 failed, 1 passed in 90.00s (0:01:30)\n", "2 failed, 1 passed in 90.00s (0:01:30)"),
        ("== no tests ran in 0.01s ==\n", "pytest printed no closing line"),
        ("Killed\n", "pytest printed no closing line"),
    ],
)
def test_closing_line(output: str, expected: str) -> None:
    assert checks.closing_line(output) == expected
