"""Reference pages are what the code would write now."""

from __future__ import annotations

from pathlib import Path

from emulator.cli.reference import markdown


def test_the_command_reference_is_not_stale() -> None:
    assert Path("docs/cli.md").read_text() == markdown(), (
        "run: python -m emulator.cli.reference > docs/cli.md"
    )
