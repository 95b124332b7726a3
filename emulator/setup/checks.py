"""The whole check of a checkout: lint, format, layers, types, tests, coverage floors."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from emulator.setup import floors
from emulator.setup.gaps import Gap
from emulator.setup.venv import Environment

PASSED, FAILED, INCOMPLETE = 0, 1, 4

# Fastest first.
STATIC = (
    ("lint", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("layers", ("lint-imports", "--no-logo")),
    ("types", ("mypy",)),
)
REPORT = "build/coverage.json"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CLOSING = re.compile(r"^(=+ )?.*\b\d+ (passed|failed|errors?|deselected|skipped)\b.* in [\d.]+s")


class Result(NamedTuple):
    """How one part of the check ended."""

    name: str
    passed: bool
    seconds: float


def run(environment: Environment, gaps: Sequence[Gap], arguments: Sequence[str]) -> int:
    """Run everything, whatever fails on the way; give the exit code.

    With ``arguments`` or ``gaps`` only a part is tested, so the coverage floors are left out.
    """
    results = [_static(environment, name, command) for name, command in STATIC]
    result, closing = _pytest(environment, gaps, arguments)
    results.append(result)
    if not (arguments or gaps):
        results.append(_floors(environment))
    _summary(results, gaps)
    print(closing, flush=True)
    if not all(result.passed for result in results):
        return FAILED
    return INCOMPLETE if gaps else PASSED


def closing_line(output: str) -> str:
    """Find pytest's last word in its output."""
    lines = (COLOUR.sub("", line) for line in reversed(output.splitlines()))
    return next((line for line in lines if CLOSING.match(line)), "pytest printed no closing line")


def _static(environment: Environment, name: str, command: tuple[str, ...]) -> Result:
    start = _heading(name)
    program, *arguments = command
    done = subprocess.run(
        [environment.bin / program, *arguments], cwd=environment.root, check=False
    )
    return Result(name, done.returncode == 0, time.monotonic() - start)


def _pytest(
    environment: Environment, gaps: Iterable[Gap], arguments: Sequence[str]
) -> tuple[Result, str]:
    start = _heading("tests")
    without = {marker for gap in gaps for marker in gap.markers}
    command = [
        str(environment.python),
        *("-m", "pytest", "-n", "auto", "--cov", "--cov-report=", f"--cov-report=json:{REPORT}"),
        *(f"--without={marker}" for marker in sorted(without)),
        *(("--color=yes",) if sys.stdout.isatty() else ()),
        *arguments,
    ]
    code, output = _stream(command, environment)
    return Result("tests", code == 0, time.monotonic() - start), closing_line(output)


def _stream(command: Sequence[str], environment: Environment) -> tuple[int, str]:
    """Run ``command``, pass its output on as it comes, and keep it."""
    kept = bytearray()
    with subprocess.Popen(
        command,
        cwd=environment.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe, see above
        while chunk := process.stdout.read(65536):
            kept += chunk
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return process.returncode, kept.decode(errors="replace")


def _floors(environment: Environment) -> Result:
    start = _heading("coverage")
    try:
        short = floors.shortfalls(environment.root / REPORT)
    except OSError as error:
        short = [f"no coverage report: {error}"]
    for line in short:
        print(line)
    return Result("coverage", not short, time.monotonic() - start)


def _heading(name: str) -> float:
    print(f"\n--- {name}", flush=True)
    return time.monotonic()


def _summary(results: Iterable[Result], gaps: Iterable[Gap]) -> None:
    print("\n--- summary")
    for result in results:
        word = "passed" if result.passed else "FAILED"
        print(f"{result.name:10} {word}  {result.seconds:7.1f} s")
    for gap in gaps:
        print(f"NOT RUN: tests marked {', '.join(gap.markers)}: {gap.reason}")
