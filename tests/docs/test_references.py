"""Reference pages are what the code would write now."""

from __future__ import annotations

from pathlib import Path

from emulator.cli.reference import markdown
from emulator.cli.schema import annotation_page
from emulator.observe import reference


def test_the_command_reference_is_not_stale() -> None:
    assert Path("docs/cli.md").read_text() == markdown(), (
        "run: python -m emulator.cli.reference > docs/cli.md"
    )


def test_the_annotations_reference_is_not_stale() -> None:
    assert Path("docs/annotations.md").read_text() == annotation_page(), (
        "run: imds-emulator schema --annotations > docs/annotations.md"
    )


def test_the_metrics_reference_is_not_stale() -> None:
    assert Path("docs/metrics.md").read_text() == reference.markdown(), (
        "run: python -m emulator.observe.reference > docs/metrics.md"
    )
