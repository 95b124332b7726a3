"""The coverage floors hold what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.setup import floors


def file(
    statements: int, lines: list[int] | None = None, branches: list[tuple[int, int]] | None = None
) -> dict[str, Any]:
    lines, branches = lines or [], branches or []
    return {
        "missing_lines": lines,
        "missing_branches": branches,
        "summary": {
            "num_statements": statements,
            "covered_lines": statements - len(lines),
            "num_branches": statements,
            "covered_branches": statements - len(branches),
        },
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"emulator/core/a.py": file(10), "emulator/boot/b.py": file(100)}, []),
        (
            {
                "emulator/core/a.py": file(10, [3, 4, 8], [(3, 5), (5, 6)]),
                "emulator/model/b.py": file(1),
            },
            ["emulator/core/a.py: not covered: lines 3-4, 8; branches 5->6"],
        ),
        (
            {"emulator/dialects/a.py": file(10, branches=[(7, -1)])},
            ["emulator/dialects/a.py: not covered: lines -; branches 7->-1"],
        ),
        (
            {"emulator/boot/a.py": file(10, [1, 2, 3, 4, 5]), "emulator/cli/b.py": file(0)},
            ["outside emulator/core/, emulator/dialects/, emulator/model/: 75.0 %, the floor is"],
        ),
    ],
    ids=["all well", "line in core", "branch in a dialect", "rest too low"],
)
def test_shortfalls(tmp_path: Path, files: dict[str, Any], expected: list[str]) -> None:
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    found = floors.shortfalls(report)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))
