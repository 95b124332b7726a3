from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator.boot import acceleration, packages, qemu
from emulator.errors import BootError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "qemu"


def write(program: Path, script: str) -> str:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_a_fit_qemu_tells_its_version(program: Path) -> None:
    path = write(program, "echo QEMU emulator version 10.0.2 '(Debian)'")
    assert qemu.find_qemu(path) == qemu.Qemu(path, (10, 0))


def test_a_missing_qemu_names_its_package() -> None:
    with pytest.raises(BootError, match=r"apt-get install qemu-system-x86$"):
        qemu.find_qemu("no-such-qemu")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo QEMU emulator version 4.2.1", "version 4.2; 5.2 or later is needed"),
        ("echo cannot load library >&2; exit 127", "status 127.*cannot load library"),
        ("echo something else", "does not tell its version"),
    ],
)
def test_an_unfit_qemu_is_refused(program: Path, script: str, words: str) -> None:
    with pytest.raises(BootError, match=words):
        qemu.find_qemu(write(program, script))


def test_a_qemu_that_does_not_run_is_refused(program: Path) -> None:
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    with pytest.raises(BootError, match="does not run"):
        qemu.find_qemu(str(program))


def test_firmware_is_a_pair(tmp_path: Path) -> None:
    pair = (str(tmp_path / "code"), str(tmp_path / "vars"))
    (tmp_path / "code").touch()
    with pytest.raises(BootError, match="apt-get install ovmf"):
        qemu.find_firmware([pair])
    (tmp_path / "vars").touch()
    assert qemu.find_firmware([pair]) == (tmp_path / "code", tmp_path / "vars")


def test_programs_that_are_missing_are_named_with_their_packages() -> None:
    def find(program: str) -> str | None:
        return None if program.startswith("m") else program

    lacking = packages.missing(("mcopy", "sfdisk", "mmd", "mke2fs"), find)
    assert lacking == ["mcopy", "mmd", "mke2fs"]
    assert packages.complaint(lacking) == (
        "mcopy, mmd, mke2fs not found: apt-get install e2fsprogs mtools"
    )


@pytest.mark.parametrize(
    ("script", "works"),
    [("exit 33", True), ("exit 0", False), ("kill -ABRT $$", False), ("exec sleep 600", False)],
)
def test_a_probe_must_reach_its_end_in_time(program: Path, script: str, *, works: bool) -> None:
    path = write(program, script)
    deadline = 20.0 if works else 0.5
    assert acceleration.runs(path, "kvm", "host", deadline) is works


def test_a_probe_that_cannot_start_has_failed(tmp_path: Path) -> None:
    assert not acceleration.runs(str(tmp_path / "none"), "kvm", "host", 1.0)


def test_the_answer_is_asked_for_once(program: Path, tmp_path: Path) -> None:
    path = write(program, f"echo x >> {tmp_path}/count; exit 1")
    assert [acceleration.accelerate(path), acceleration.accelerate(path)] == ["tcg", "tcg"]
    count = tmp_path / "count"
    assert not count.exists() or count.read_text() == "x\n"


@pytest.mark.guest
def test_the_probing_guest_reaches_its_end_where_it_can() -> None:
    assert acceleration.runs(qemu.find_qemu().path, "tcg", "max", 60.0)


def test_the_probe_is_a_boot_sector() -> None:
    assert len(acceleration.CODE) <= 510
