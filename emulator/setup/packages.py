"""The operating system's packages that a checkout needs, as one table."""

from __future__ import annotations

import importlib.util
import sys
from typing import NamedTuple


class Package(NamedTuple):
    """One Debian package, the same name on Ubuntu, and what it is for."""

    name: str
    use: str
    tests_only: bool = False


PACKAGES = (
    Package("qemu-system-x86", "runs the guests"),
    Package("qemu-utils", "makes the guests' disks (qemu-img)"),
    Package("ovmf", "firmware for guests that start from their own boot loader"),
    Package("mmdebstrap", "makes an image from Debian's packages"),
    Package("debian-archive-keyring", "Debian's keys, which mmdebstrap checks; Ubuntu lacks them"),
    Package("uidmap", "lets mmdebstrap work without root"),
    Package("e2fsprogs", "makes and reads the images' file systems (mke2fs, debugfs)"),
    Package("fdisk", "partitions the images (sfdisk)"),
    Package("mtools", "fills the images' EFI partition"),
    Package("amazon-ec2-utils", "a client of EC2's tree (ec2-metadata)", tests_only=True),
    Package("buildah", "builds the container image", tests_only=True),
    Package("catatonit", "holds a pod's namespaces (podman's pause program)", tests_only=True),
    Package("curl", "runs the examples of README and docs", tests_only=True),
    Package("iproute2", "builds the tests' network namespaces", tests_only=True),
    Package("jq", "runs the guests' commands in docs", tests_only=True),
    Package("libfaketime", "sets the clock of a server under test", tests_only=True),
    Package("mount", "puts small file systems into them", tests_only=True),
    Package("nftables", "loads the sidecar's rules, and KubeVirt's, there", tests_only=True),
    Package("openssl", "makes certificates that are not ours", tests_only=True),
    Package("podman", "runs the container image, alone and in a pod", tests_only=True),
    Package("runc", "starts podman's containers", tests_only=True),
)


def wanted(*, tests: bool) -> list[str]:
    """Name the packages for the demonstration, or with ``tests`` for everything."""
    return [package.name for package in PACKAGES if tests or not package.tests_only]


def for_python() -> list[str]:
    """Name what the running Python lacks to make a virtual environment; Debian splits it off."""
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return []
    return [f"python{sys.version_info.major}.{sys.version_info.minor}-venv"]
