"""Writes ``docs/cli.md`` from the commands themselves: ``python -m emulator.cli.reference``."""

from __future__ import annotations

import argparse
import importlib
import sys

from emulator.cli import COMMANDS

_WIDTH = 92
_STATUS = """\
Every command ends with 0 when it did what it was asked, 1 when that failed, and 2 for wrong input,
which it names with file, line, field, what was found and what is allowed."""


def _help(name: str, summary: str) -> str:
    module = importlib.import_module(f"emulator.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"imds-emulator {name}",
        description=summary,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=_WIDTH),
    )
    module.configure(parser)
    return parser.format_help()


def markdown() -> str:
    """Give the reference page."""
    parts = [
        "# Commands",
        "Generated from the code by `python -m emulator.cli.reference`.",
        _STATUS,
    ]
    for name, summary in COMMANDS.items():
        parts.append(f"## {name}\n\n```text\n{_help(name, summary).strip()}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
