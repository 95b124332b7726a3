"""Writes ``docs/cli.md`` from the commands themselves: ``python -m emulator.cli.reference``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator

from emulator.cli import COMMANDS

_WIDTH = 92
_STATUS = """\
Every command ends with 0 when it did what it was asked, 1 when that failed, and 2 for wrong input,
which it names with file, line, field, what was found and what is allowed."""


def _help(name: str, summary: str) -> str:
    module = importlib.import_module(f"emulator.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"imds-emulator {name}", description=summary)
    module.configure(parser)
    return "\n\n".join(each.format_help().strip() for each in _all(parser))


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give a parser and those of its actions."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                yield from _all(each)


def markdown() -> str:
    """Give the reference page."""
    parts = [
        "# Commands",
        "Generated from the code by `python -m emulator.cli.reference`.",
        _STATUS,
    ]
    for name, summary in COMMANDS.items():
        parts.append(f"## {name}\n\n```text\n{_help(name, summary)}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
