"""Disk files: what kind one is, and the overlay that takes a guest's writes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from emulator.boot.packages import complaint, missing
from emulator.errors import ImageError

Kind = Literal["qcow2", "raw"]

QCOW2 = b"QFI\xfb"
HEADER = 0x43A
# Bytes of the oldest qcow2 header; only from version 3 on are there feature bits.
_QCOW2_HEADER = 72
_WITH_FEATURES = 3
_EXTERNAL_DATA = 1 << 2
# Other things that people hand over, by how they begin.
_FOREIGN = {
    b"KDMV": "a VMDK image",
    b"vhdxfile": "a VHDX image",
    b"conectix": "a VHD image",
    b"\x1f\x8b": "gzip-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"BZh": "bzip2-compressed",
    b"(\xb5/\xfd": "zstd-compressed",
    b"<!DO": "a web page",
    b"<htm": "a web page",
}


class Disk(msgspec.Struct, frozen=True):
    """A disk file as its header shows it.

    ``partitioned`` is false for a bare file system, which has no boot loader. ``refers`` is true
    for a qcow2 that takes bytes from another file.
    """

    path: str
    kind: Kind
    partitioned: bool = True
    refers: bool = False


def inspect(path: Path) -> Disk:
    """Tell what ``path`` is; ImageError for what no guest can boot from."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder, not a disk image") from error
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    if header.startswith(QCOW2):
        return _qcow2(path, header)
    if header[510:512] == b"\x55\xaa":
        return Disk(str(path), "raw")
    if header[0x438:0x43A] == b"\x53\xef":
        return Disk(str(path), "raw", partitioned=False)
    raise ImageError(f"{path} is not a disk image that QEMU can boot: {_looks(header)}")


def _qcow2(path: Path, header: bytes) -> Disk:
    if len(header) < _QCOW2_HEADER:
        raise ImageError(f"{path} is a truncated qcow2 image")
    version = int.from_bytes(header[4:8])
    backed = int.from_bytes(header[8:16]) != 0
    features = int.from_bytes(header[72:80]) if version >= _WITH_FEATURES else 0
    return Disk(str(path), "qcow2", refers=backed or bool(features & _EXTERNAL_DATA))


def _looks(header: bytes) -> str:
    if not header:
        return "it is empty"
    for start, name in _FOREIGN.items():
        if header.lower().startswith(start.lower()):
            return f"it is {name}"
    return "it has neither a qcow2 header nor a partition table"


def overlay_command(base: Disk, overlay: str) -> list[str]:
    """Give the command that makes ``overlay``, a qcow2 of what differs from ``base``."""
    source = os.path.realpath(base.path)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", source, "-F", base.kind]
    return [*command, overlay]


def create_overlay(base: Disk, overlay: Path) -> None:
    """Make ``overlay``; raises ImageError."""
    lacking = missing(["qemu-img"])
    if lacking:
        raise ImageError(complaint(lacking))
    command = overlay_command(base, str(overlay))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"{overlay}: {done.stderr.strip()}")
