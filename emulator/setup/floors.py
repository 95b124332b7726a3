"""Coverage floors: all of the pure packages, most of the rest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COMPLETE = ("emulator/core/", "emulator/dialects/", "emulator/model/")
REST = 95.0  # percent of statements and branches in everything else, taken together


def shortfalls(report: Path) -> list[str]:
    """Read coverage's JSON report; give one line for each floor that is not reached."""
    files: Mapping[str, Any] = json.loads(report.read_text())["files"]
    pure = {name: file for name, file in files.items() if name.startswith(COMPLETE)}
    rest = [file["summary"] for name, file in files.items() if name not in pure]
    lines = list(_incomplete(pure))
    reached = _percent(rest)
    if reached < REST:
        lines.append(f"outside {', '.join(COMPLETE)}: {reached:.1f} %, the floor is {REST} %")
    return lines


def _incomplete(pure: Mapping[str, Any]) -> Iterator[str]:
    for name, file in sorted(pure.items()):
        lines: list[int] = file["missing_lines"]
        branches = [
            f"{start}->{end}" for start, end in file["missing_branches"] if start not in lines
        ]
        if lines or branches:
            told = ", ".join(_ranges(lines)) or "-", ", ".join(branches) or "-"
            yield f"{name}: not covered: lines {told[0]}; branches {told[1]}"


def _ranges(lines: list[int]) -> Iterator[str]:
    """Write 3, 4, 5, 9 as 3-5, 9."""
    for _, run in itertools.groupby(enumerate(lines), key=lambda place: place[1] - place[0]):
        numbers = [number for _, number in run]
        yield str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def _percent(summaries: list[Mapping[str, int]]) -> float:
    covered = sum(each["covered_lines"] + each["covered_branches"] for each in summaries)
    total = sum(each["num_statements"] + each["num_branches"] for each in summaries)
    return 100.0 * covered / total if total else 100.0
