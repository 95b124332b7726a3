"""What stock-like images are made of; a change here gives the image another cache entry."""

from __future__ import annotations

import hashlib

import msgspec

# Raise it when images of equal recipes come out different, because the building changed.
VERSION = 1

# As an official image is: a neutral locale, and no identity, so that each guest makes its own.
HOOKS = (
    'echo LABEL=root / ext4 errors=remount-ro 0 1 > "$1/etc/fstab"',
    'echo LABEL=ESP /boot/efi vfat nofail 0 2 >> "$1/etc/fstab"',
    'mkdir -p "$1/boot/efi"',
    'echo LANG=C.UTF-8 > "$1/etc/default/locale"',
    'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub "$1/etc/hostname"',
    ': > "$1/etc/machine-id"',
)
LOADER = "timeout 0\ndefault debian\n"
ENTRY = """\
title Debian
linux /vmlinuz
initrd /initrd.img
options root=LABEL=root console=tty0 console=ttyS0
"""

_BASE = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "iproute2",
    "linux-image-cloud-amd64",
    "netplan.io",
    "openssh-server",
    "sudo",
    "systemd-boot-efi",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
)


class Recipe(msgspec.Struct, frozen=True):
    """One buildable image: its name, Debian's suite and the packages beyond the minimal system."""

    name: str
    suite: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        """Hash of all that decides what is in the image, 12 hex digits."""
        parts = (str(VERSION), self.suite, *sorted(self.packages), *HOOKS, LOADER, ENTRY)
        text = "\n".join(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("debian-12", "bookworm", _BASE),
        # From trixie on cloud-init no longer brings a DHCP client, nor systemd its time client.
        Recipe("debian-13", "trixie", (*_BASE, "dhcpcd-base", "systemd-timesyncd")),
    )
}
