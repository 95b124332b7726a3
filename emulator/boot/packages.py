"""Programs that others ship: found on PATH, or named with the line that installs them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

# Debian's and Ubuntu's package of each program that booting and building call.
PACKAGE = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mformat": "mtools",
    "mmd": "mtools",
    "mcopy": "mtools",
    "tar": "tar",
    "newuidmap": "uidmap",
    "unshare": "util-linux",
}

Which = Callable[[str], str | None]


def which(program: str) -> str | None:
    """Find ``program`` on PATH, or where a user's PATH does not reach on Debian."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def install_line(packages: Iterable[str]) -> str:
    """Give the command that installs ``packages``: ``apt-get install a b``."""
    return "apt-get install " + " ".join(sorted(set(packages)))


def missing(programs: Iterable[str], find: Which = which) -> list[str]:
    """Give the programs that are not there, in the order in which they were asked for."""
    return [program for program in programs if find(program) is None]


def complaint(programs: Iterable[str]) -> str:
    """Say that ``programs`` are missing and what installs them."""
    names = list(programs)
    return f"{', '.join(names)} not found: {install_line(PACKAGE[name] for name in names)}"
