"""Series of boots and modes."""

from __future__ import annotations

from emulator.observe.catalogue_imdsv2 import Migration, series
from emulator.observe.metrics import OTHERS

A, B, C = ("shop", "a"), ("shop", "b"), ("shop", "c")


def test_stalled_machines_without_series_of_their_own_are_told_together() -> None:
    found = series(Migration(stalls={"token": 2}, stalled={A, C}, completed=3), [A, B, OTHERS])
    assert found["imds_vm_boot_stalled"] == {A: 1, OTHERS: 1}
    assert found["imds_boots_total"] == {("completed",): 3, ("stalled",): 2}
    assert found["imds_boot_stalls_total"] == {("session",): 0, ("token",): 2, ("other",): 0}


def test_without_others_there_is_no_series_of_them() -> None:
    found = series(Migration(stalled={A}, modes={"off": 1}), [A, B])
    assert found["imds_vm_boot_stalled"] == {A: 1}
    assert found["imds_vms_by_imdsv2_mode"] == {("off",): 1}
