"""Coverage floors: all of the pure packages, most of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COMPLETE = ("emulator/core/", "emulator/dialects/", "emulator/model/")
REST = 85.0  # percent of statements and branches in everything else, taken together


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
        statements = ", ".join(map(str, file["missing_lines"]))
        branches = ", ".join(f"{start}->{end}" for start, end in file["missing_branches"])
        if statements or branches:
            yield f"{name}: not covered: lines {statements or '-'}; branches {branches or '-'}"


def _percent(summaries: list[Mapping[str, int]]) -> float:
    covered = sum(each["covered_lines"] + each["covered_branches"] for each in summaries)
    total = sum(each["num_statements"] + each["num_branches"] for each in summaries)
    return 100.0 * covered / total if total else 100.0
