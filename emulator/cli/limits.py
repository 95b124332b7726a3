"""``--limit NAME=VALUE``: the bounds on guests as a command line has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from emulator.errors import ConfigError, Problem
from emulator.model.config import Limits

_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([KMG]?)", re.ASCII)
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30}
_FIELDS = {field.name: field for field in fields(Limits)}


def read(texts: Iterable[str]) -> Limits:
    """Give the limits as ``texts`` have them, the last of each name; raise ``ConfigError``."""
    given: dict[str, float] = {}
    problems = []
    for text in texts:
        name, _, value = text.partition("=")
        found = _value(name, value)
        if isinstance(found, str):
            problems.append(Problem("command line", 0, "--limit", f'"{text}"', found))
        else:
            given[name] = found
    if problems:
        raise ConfigError(*problems)
    return msgspec.structs.replace(Limits(), **given)


def _value(name: str, text: str) -> float | str:
    """Give a limit's value, or what is allowed."""
    field = _FIELDS.get(name)
    if field is None:
        return f"NAME=VALUE with a name among {', '.join(_FIELDS)}"
    number = _NUMBER.fullmatch(text)
    if number is not None:
        value = float(number[1]) * (1 << _SHIFTS[number[2]])
        with suppress(msgspec.ValidationError):
            found: float = msgspec.convert(int(value) if value.is_integer() else value, field.type)
            return found
    return f"{name}={_range(field)}"


def _range(field: FieldInfo) -> str:
    """Say what a limit may be."""
    described: Any = msgspec.inspect.type_info(field.type)
    least = described.ge if described.ge is not None else "more than 0"
    kind = "a whole number" if isinstance(described, msgspec.inspect.IntType) else "a number"
    none = " (0: no limit)" if described.ge == 0 else ""
    return f"{kind}, {least} to {described.le}{none}, K, M and G for 1024 and so on"
