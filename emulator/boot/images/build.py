"""Builds a stock-like Debian image: its own boot loader, its own kernel, untouched cloud-init.

No loop device and no mount of ours: mmdebstrap gives a tar, mke2fs fills a file system from a
folder at an offset of the disk file, mtools writes the EFI partition. Where root is not to be had,
mmdebstrap and the unpacking run in a user namespace.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from emulator.boot.images.cache import Cache, Image
from emulator.boot.images.recipes import ENTRY, HOOKS, LOADER, Recipe
from emulator.boot.packages import complaint, install_line, missing
from emulator.boot.processes import run_patiently
from emulator.errors import ImageError

MIB = 1 << 20
DISK_MIB = 2048
ESP_START_MIB = 1
ESP_MIB = 126
ROOT_START_MIB = ESP_START_MIB + ESP_MIB
# The backup of the partition table takes the end of the disk.
ROOT_MIB = DISK_MIB - ROOT_START_MIB - 1
PROGRAMS = ("mmdebstrap", "tar", "mke2fs", "sfdisk", "mformat", "mmd", "mcopy", "qemu-img")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DIRECT = "root=LABEL=root console=ttyS0"

_PARTITIONS = f"""\
label: gpt
start={ESP_START_MIB}MiB, size={ESP_MIB}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=ESP
start={ROOT_START_MIB}MiB, size={ROOT_MIB}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
"""
_EXTRACTED = {
    "vmlinuz": r"\./boot/vmlinuz-.+",
    "initrd.img": r"\./boot/initrd\.img-.+",
    "systemd-boot.efi": r"\./usr/lib/systemd/boot/efi/systemd-bootx64\.efi",
}

Say = Callable[[str], None]


class Privilege(msgspec.Struct, frozen=True):
    """How files of foreign owners are made: mmdebstrap's ``mode``, and a ``prefix`` for others."""

    mode: str
    prefix: tuple[str, ...]


ROOT = Privilege("root", ())
NAMESPACE = Privilege("unshare", ("unshare", "--user", "--map-root-user", "--map-auto"))


def privilege(uid: int | None = None) -> Privilege:
    """Find the way that this user has; ImageError says what to do when there is none."""
    if (os.geteuid() if uid is None else uid) == 0:
        return ROOT
    lacking = missing(("unshare", "newuidmap"))
    if not lacking:
        trial = subprocess.run(
            [*NAMESPACE.prefix, "true"], capture_output=True, text=True, check=False
        )
        if trial.returncode == 0:
            return NAMESPACE
        why = trial.stderr.strip()
    else:
        why = complaint(lacking)
    raise ImageError(
        "building an image needs root (sudo imds-emulator image build ...) or user namespaces, "
        f"and neither is to be had here ({why}). For user namespaces: {install_line(['uidmap'])}, "
        "a range for this user in /etc/subuid and /etc/subgid, and on Ubuntu "
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    )


def check_tools() -> None:
    """Raise ImageError, with the line that installs it, for whatever building lacks."""
    if platform.machine() != "x86_64":
        raise ImageError(f"images are built for x86-64 only; this machine is {platform.machine()}")
    lacking = missing(PROGRAMS)
    if lacking:
        raise ImageError(complaint(lacking))
    if not KEYRING.exists():
        line = install_line(["debian-archive-keyring"])
        raise ImageError(f"{KEYRING} not found: {line}")


def build(recipe: Recipe, cache: Cache, say: Say, mirror: str = "") -> Image:
    """Give the image of ``recipe``, building it (minutes) if the cache has none.

    ``say`` gets a line before each step. ``mirror`` replaces mmdebstrap's own choice of mirrors.
    Raises ImageError.
    """
    entry = f"{recipe.name}-{recipe.key}"
    found = cache.find(entry)
    if found:
        return found
    check_tools()
    way = privilege()
    with cache.lock(entry):
        found = cache.find(entry)
        if found:
            return found
        with cache.making(entry) as work:
            say(f"{recipe.name}: installing {len(recipe.packages)} packages and what they need")
            _bootstrap(recipe, work, way, mirror)
            say(f"{recipe.name}: writing the disk")
            _write_disk(work, way)
            image = Image(
                name=recipe.name,
                disk="disk.qcow2",
                origin=f"Debian {recipe.suite}, built {recipe.key}",
                kernel="vmlinuz",
                initrd="initrd.img",
                append=DIRECT,
            )
            return cache.keep(entry, work, image)


def export(image: Image, output: Path) -> None:
    """Copy the disk to ``output``, which appears complete or not at all."""
    aside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        shutil.copyfile(image.disk, aside)
        aside.replace(output)
    except OSError as error:
        raise ImageError(f"{output}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def _bootstrap(recipe: Recipe, work: Path, way: Privilege, mirror: str) -> None:
    hooks = [f"--customize-hook={hook}" for hook in HOOKS]
    _run(
        [
            "mmdebstrap",
            f"--mode={way.mode}",
            "--variant=minbase",
            "--architectures=amd64",
            "--format=tar",
            "--aptopt=APT::Install-Recommends false",
            f"--include={','.join(recipe.packages)}",
            *hooks,
            recipe.suite,
            "rootfs.tar",
            *([mirror] if mirror else []),
        ],
        work,
    )


def _write_disk(work: Path, way: Privilege) -> None:
    with tarfile.open(work / "rootfs.tar") as tar:
        _extract(tar, work)
    disk = work / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(DISK_MIB * MIB)
    _run(["sfdisk", "--quiet", "disk.raw"], work, _PARTITIONS)
    _write_esp(work)
    _write_root(work, way)
    _run(["qemu-img", "convert", "-O", "qcow2", "disk.raw", "disk.qcow2"], work)
    for name in ("disk.raw", "rootfs.tar", "systemd-boot.efi", "loader.conf", "debian.conf"):
        (work / name).unlink()


def _extract(tar: tarfile.TarFile, work: Path) -> None:
    wanted = dict(_EXTRACTED)
    for member in tar:
        for name, pattern in list(wanted.items()):
            if member.isfile() and re.fullmatch(pattern, member.name):
                source = tar.extractfile(member)
                if source is not None:
                    with (work / name).open("wb") as sink:
                        shutil.copyfileobj(source, sink)
                    del wanted[name]
    if wanted:
        raise ImageError(f"the system has no {', '.join(wanted)}: its packages have changed")


def _write_esp(work: Path) -> None:
    (work / "loader.conf").write_text(LOADER)
    (work / "debian.conf").write_text(ENTRY)
    esp = f"disk.raw@@{ESP_START_MIB}M"
    sectors = str(ESP_MIB * MIB // 512)
    layout = ["-F", "-T", sectors, "-h", "64", "-s", "32", "-v", "ESP"]
    _run(["mformat", "-i", esp, *layout, "::"], work)
    _run(["mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"], work)
    for source, target in (
        ("systemd-boot.efi", "EFI/BOOT/BOOTX64.EFI"),
        ("vmlinuz", "vmlinuz"),
        ("initrd.img", "initrd.img"),
        ("loader.conf", "loader/loader.conf"),
        ("debian.conf", "loader/entries/debian.conf"),
    ):
        _run(["mcopy", "-i", esp, source, f"::/{target}"], work)


def _write_root(work: Path, way: Privilege) -> None:
    # One shell, so that unpacking, reading and removing see the same owners in the namespace.
    # Device nodes cannot be made in one, and are not wanted: the kernel brings its own /dev.
    place = f"-E offset={ROOT_START_MIB * MIB}"
    # The shell's own traps remove the tree: outside the namespace nobody may.
    script = (
        "trap 'rm -rf tree' EXIT; trap 'exit 143' TERM INT HUP; "
        "mkdir tree && tar -xf rootfs.tar -C tree --numeric-owner --exclude='./dev/*' && "
        f"mke2fs -q -t ext4 -L root {place} -d tree disk.raw {ROOT_MIB}M"
    )
    _run([*way.prefix, "sh", "-c", script], work)


def _run(command: list[str], work: Path, stdin: str = "") -> None:
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    status, output = run_patiently(command, work, stdin, env)
    if status:
        tail = "\n".join(output.strip().splitlines()[-15:])
        raise ImageError(f"{command[0]} failed with status {status}:\n{tail}")
