"""Finds QEMU and its UEFI firmware, or says what installs them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import msgspec

from emulator.boot.machine import Version
from emulator.boot.packages import complaint, install_line, which
from emulator.errors import BootError

PROGRAM = "qemu-system-x86_64"
# Debian 11's. Older ones are not tried by anyone here.
OLDEST: Version = (5, 2)

# Code and variables as Debian and Ubuntu, Fedora and Arch place them.
FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
)


class Qemu(msgspec.Struct, frozen=True):
    """A QEMU that is fit for use."""

    path: str
    version: Version


def find_qemu(program: str = PROGRAM) -> Qemu:
    """Find ``program``; BootError tells missing, broken and too old apart."""
    path = which(program)
    if path is None:
        raise BootError(complaint([PROGRAM]))
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BootError(f"{path} does not run: {error}") from error
    found = re.search(r"version (\d+)\.(\d+)", done.stdout)
    if done.returncode or not found:
        tail = (done.stderr or done.stdout).strip()[-400:]
        raise BootError(f"{path} does not tell its version (status {done.returncode}): {tail}")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise BootError(f"{path} is version {found[1]}.{found[2]}; {wanted} or later is needed")
    return Qemu(path, version)


def find_firmware(pairs: Iterable[tuple[str, str]] = FIRMWARE) -> tuple[Path, Path]:
    """Find UEFI firmware: the code and the template of its variables."""
    for code, variables in pairs:
        if Path(code).exists() and Path(variables).exists():
            return Path(code), Path(variables)
    raise BootError(f"no UEFI firmware found: {install_line(['ovmf'])}")
