"""``--limit NAME=VALUE``: what is taken, and what is said of what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import asdict, fields

from emulator.cli.limits import read
from emulator.errors import ConfigError
from emulator.model.config import Limits

ROOT = Path(__file__).parents[2]


def test_without_any_they_are_the_defaults() -> None:
    assert read([]) == Limits()


def test_what_is_given_replaces_the_default_and_the_last_counts() -> None:
    given = ["requests_of_vm=0.5", "bytes_of_vm=1.5M", "connections=7", "connections=8"]
    wanted = Limits(requests_of_vm=0.5, bytes_of_vm=1.5 * 2**20, connections=8)
    assert read([*given, "header_bytes=32K"]) == Limits(**asdict(wanted) | {"header_bytes": 32768})


def test_a_rate_of_nothing_is_no_limit() -> None:
    assert read(["requests_of_vm=0", "bytes_of_vm=0"]).requests_of_vm == 0


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_each_can_be_given_its_default(field: object) -> None:
    name, default = field.name, field.default  # type: ignore[attr-defined]
    assert read([f"{name}={default}"]) == Limits()


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("x=1", "NAME=VALUE with a name among header_bytes, header_lines, "),
        ("", "NAME=VALUE with a name among header_bytes, "),
        ("connections", "connections=a whole number, 1 to 1073741824, "),
        ("connections=", "connections=a whole number, "),
        ("connections=0", "connections=a whole number, 1 to "),
        ("connections=1.5", "connections=a whole number, "),
        ("connections=-1", "connections=a whole number, "),
        ("connections=1T", "connections=a whole number, "),
        ("requests_of_vm=nan", "requests_of_vm=a number, 0 to 4294967296 (0: no limit), "),
        ("requests_of_vm=1e3", "requests_of_vm=a number, 0 to "),
        ("idle_seconds=0", "idle_seconds=a number, more than 0 to 86400, "),
        ("requests_of_vm=٣", "requests_of_vm=a number, "),
    ],
)
def test_what_cannot_be_is_said_with_what_can(text: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(["connections=5", text])
    (problem,) = raised.value.problems
    assert (problem.field, problem.found) == ("--limit", f'"{text}"')
    assert problem.allowed.startswith(allowed)


def test_every_mistake_is_said() -> None:
    with pytest.raises(ConfigError) as raised:
        read(["x=1", "y=2"])
    assert len(raised.value.problems) == 2


def test_the_page_has_each_with_its_default() -> None:
    """``docs/limits.md`` is the reference of their names."""
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+?) \|", (ROOT / "docs/limits.md").read_text(), re.MULTILINE
    )
    assert dict(rows) == {
        field.name: _written(field.name, field.default) for field in fields(Limits)
    }


def _written(name: str, default: float) -> str:
    """Give a default as one writes it on the command line."""
    if "bytes" in name:
        return next(
            f"{int(default) >> shift}{unit}"
            for unit, shift in (("M", 20), ("K", 10))
            if default % (1 << shift) == 0
        )
    return f"{default:g}" if default < 1e6 else str(default)
