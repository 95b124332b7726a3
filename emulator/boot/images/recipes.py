"""What stock-like images are made of; a change here gives the image another cache entry."""

from __future__ import annotations

import hashlib

import msgspec

# Raise it when images of equal package lists come out different, because the building changed.
VERSION = 1

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
        text = "\n".join((str(VERSION), self.suite, *sorted(self.packages)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("debian-12", "bookworm", _BASE),
        # From trixie on cloud-init no longer brings a DHCP client, nor systemd its time client.
        Recipe("debian-13", "trixie", (*_BASE, "dhcpcd-base", "systemd-timesyncd")),
    )
}
