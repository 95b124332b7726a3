"""What the fleet's mode makes of what an owner chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.migration.modes import Mode, held_to, mode_of
from tests.server.support import instance

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("dialects", "own", "optional", "observe", "required"),
    [
        # Nothing chosen: the fleet's mode, weaker ones too.
        ("[ec2]", "required", "optional", "observe", "required"),
        ("[ec2, openstack]", "optional", "optional", "observe", "required"),
        # Chosen: never weaker than that.
        ("{ec2: {tokens: optional}}", "optional", "optional", "observe", "required"),
        ("{ec2: {tokens: observe}}", "observe", "observe", "observe", "required"),
        ("{ec2: {tokens: required}}", "required", "required", "required", "required"),
        ("{kubevirt: {tokens: optional}}", "optional", "optional", "observe", "required"),
        # Where there are no session tokens, none are asked for.
        ("[kubevirt, openstack]", "off", "off", "off", "off"),
        ("{ec2: {endpoint: off}}", "off", "off", "off", "off"),
        # EC2's mode is the machine's.
        ("{ec2: {tokens: optional}, kubevirt: {tokens: required}}", *["optional"] * 2,
         "observe", "required"),
    ],
)  # fmt: skip
def test_a_machine_is_held_to_its_own_mode_and_to_the_fleets(
    tmp_path: Path, dialects: str, own: str, optional: str, observe: str, required: str
) -> None:
    machine = instance(tmp_path, f"name: a\ndialects: {dialects}\n")
    assert mode_of(machine) == own
    modes: tuple[tuple[Mode, str], ...] = (
        ("optional", optional),
        ("observe", observe),
        ("required", required),
    )
    for mode, expected in modes:
        assert mode_of(held_to(machine, mode)) == expected


def test_what_is_not_changed_is_the_same_object(tmp_path: Path) -> None:
    machine = instance(tmp_path, "name: a\ndialects: {ec2: {tokens: required}}\n")
    assert held_to(machine, "observe") is machine
