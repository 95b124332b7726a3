"""What somebody wrote, before it means anything: a tree whose every part knows its line.

Sources build it from YAML or from annotations; ``decode`` gives it types. Nothing here reads
files, so the model stays free of formats.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from emulator.errors import Problem

_SHOWN = 60  # characters of somebody's text that a message repeats
_WHOLE = range(-(1 << 63), 1 << 64)  # what JSON encoders and their readers agree on


Value: TypeAlias = "bool | int | float | str | list[Node] | dict[str, Node] | None"


class Node(msgspec.Struct, kw_only=True):
    """One scalar, list or mapping of a document.

    ``line`` is 1-based; ``field`` the dotted path as written (``public_keys.alice``, ``""`` at the
    root); ``raw`` a scalar's own spelling, which ``value`` may have lost (``on``, ``0x10``);
    ``text_line`` the line on which its text begins, below ``line`` for YAML's blocks.
    """

    value: bool | int | float | str | list[Node] | dict[str, Node] | None
    file: str
    line: int
    field: str = ""
    raw: str = ""
    text_line: int = 0

    def problem(self, found: str, allowed: str, below: str = "") -> Problem:
        """Give the problem that stands here, or at ``below`` (``.name``, ``[0]``) inside it."""
        field = (self.field + below).removeprefix(".")
        return Problem(file=self.file, line=self.line, field=field, found=found, allowed=allowed)


class Unfit(Exception):
    """Something that cannot be used, in the two halves of a ``Problem``'s sentence."""

    def __init__(self, found: str, allowed: str) -> None:
        """Say what was ``found`` and what is ``allowed``."""
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed


def quoted(text: str) -> str:
    """Give ``text`` in quotes on one line, shortened so that a message stays readable."""
    if len(text) <= _SHOWN:
        return msgspec.json.encode(text).decode()
    return f"{msgspec.json.encode(text[:_SHOWN]).decode()}... ({len(text)} characters)"


def describe(node: Node) -> str:
    """Say in words what a node holds: ``the number 123``, ``"text"``, ``a list``."""
    value = node.value
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return f"{node.raw} (which means {'true' if value else 'false'})"
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return f"the number {node.raw}"


def kind_of(node: Node) -> str:
    """Say what a node that is no text holds, without showing it: contents may be secret."""
    value = node.value
    if isinstance(value, bool):
        return "true or false without quotes"
    if isinstance(value, int | float):
        return "a number"
    return describe(node)


def plain(node: Node) -> object:
    """Give the value as JSON types.

    Raises ``Unfit`` for numbers that JSON cannot carry (NaN, infinities, beyond 64 bits).
    """
    value = node.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit(describe(node), "a number that JSON can carry")
    if isinstance(value, int) and value not in _WHOLE:
        raise Unfit(describe(node), "a whole number of at most 64 bits (quote it to make it text)")
    return value
