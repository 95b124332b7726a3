"""The fleet's policy as it is written, and what is wrong with one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from emulator.errors import ConfigError
from emulator.migration.policy import FleetPolicy, read
from emulator.ports import SYSTEM
from emulator.sources.files import Files
from tests.server.support import instance

if TYPE_CHECKING:
    from pathlib import Path

LAST_DAY = dt.datetime(2027, 3, 31, 23, 59, tzinfo=dt.UTC).timestamp()

POLICY = """\
mode: required
exceptions:
- {vm: legacy/db-?, mode: observe, reason: old agent, until: 2027-03-31}
- {vm: legacy/*, mode: optional, reason: replaced in May}
"""


def policy(folder: Path, text: str) -> FleetPolicy:
    path = folder / "imdsv2.yaml"
    path.write_text(text)
    return read(str(path), Files(SYSTEM))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        policy(folder, text)
    return [str(one).removeprefix(f"{folder}/") for one in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "now", "mode"),
    [
        ("legacy/db-1", LAST_DAY, "observe"),
        # The day after, the next one that fits counts.
        ("legacy/db-1", LAST_DAY + 60, "optional"),
        ("legacy/db-10", LAST_DAY, "optional"),
        ("shop/db-1", LAST_DAY, None),
    ],
)
def test_the_first_exception_that_fits_counts_until_its_day(
    tmp_path: Path, name: str, now: float, mode: str | None
) -> None:
    namespace, _, vm = name.partition("/")
    machine = instance(tmp_path, f"name: {vm}\nnamespace: {namespace}\n")
    found = policy(tmp_path, POLICY).exempting(machine, now)
    assert (found.mode if found else None) == mode


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mode: strict\n",
            'imdsv2.yaml:1: mode: found "strict"; allowed: one of observe, optional, required',
        ),
        (
            "mod: observe\n",
            'imdsv2.yaml:1: mod: found the unknown field "mod"; allowed: mode (the nearest name)',
        ),
        (
            "- mode\n",
            "imdsv2.yaml:1: found a list; allowed: a mapping with mode, exceptions",
        ),
        (
            "mode: required\nexceptions:\n- {vm: db, mode: optional, reason: old}\n",
            'imdsv2.yaml:3: exceptions[0].vm: found "db"; allowed: namespace/name, in which *',
        ),
        (
            "mode: observe\nexceptions:\n- vm: a/*\n  mode: observe\n  reason: z\n  until: 1.3.\n",
            'imdsv2.yaml:6: exceptions[0].until: found "1.3."; allowed: a day such as 2027-03-31',
        ),
        (
            "mode: required\nexceptions:\n- {vm: a/*, mode: optional}\n",
            "imdsv2.yaml:3: exceptions[0].reason: found nothing; allowed: text of 1 to 255",
        ),
    ],
)
def test_a_mistake_is_shown_where_it_stands(tmp_path: Path, text: str, said: str) -> None:
    assert any(one.startswith(said) for one in problems(tmp_path, text))


def test_every_mistake_is_shown(tmp_path: Path) -> None:
    text = "mode: x\nexceptions:\n- {vm: a/b, mode: y, reason: z, until: soon}\n"
    assert len(problems(tmp_path, text)) == 2


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or directory"):
        read(str(tmp_path / "none.yaml"), Files(SYSTEM))
