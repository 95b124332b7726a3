"""Real guests: booted by the command itself, then read from their disks.

One test is one guest, and its checks are subtests: so no run boots a guest twice, however tests
are spread over workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from emulator.boot.images.build import ROOT_START_MIB, build
from emulator.boot.images.cache import Cache, Image, cache_folder
from emulator.boot.images.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Two processors bear two guests; a third one makes all of them late.
SLOTS = 2
# Seconds of a guest under TCG, on a machine that has other work to do. With KVM it is a minute.
LIMIT = 1200
DUMPED = ("/etc", "/home", "/var/lib/cloud", "/var/log", "/srv")


@contextlib.contextmanager
def slot() -> Iterator[None]:
    """Hold one of the places for guests, over all processes of this user."""
    folder = Path(tempfile.gettempdir(), f"imds-guest-slots-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context((folder / str(number)).open("w")) for number in range(SLOTS)]
        while not any(map(taken, files)):
            time.sleep(0.5)
        yield


def taken(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture(scope="session")
def image() -> Image:
    """Give the Debian 12 image; the cache's lock lets one worker build it and all share it."""
    return build(RECIPES["debian-12"], Cache(cache_folder()), print)


class Report:
    """What the command said of a boot."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.exit = done.returncode
        self.progress = done.stderr
        self.said: dict[str, Any] = {}
        assert done.stdout, done.stderr
        self.said = msgspec.json.decode(done.stdout)

    def __repr__(self) -> str:
        """Show what helps when an assertion fails."""
        keys = ("outcome", "message", "errors", "warnings", "tail")
        return "\n".join((self.progress, *(f"{key}: {self.said.get(key)}" for key in keys)))

    @property
    def paths(self) -> list[str]:
        """Give what was asked for, in order."""
        return [request["path"] for request in self.said["requests"]]


class Machine:
    """A machine with its description and its kept disk."""

    def __init__(self, image: Image, folder: Path, name: str) -> None:
        self.image = image
        self.folder = folder
        self.description = folder / f"{name}.yaml"
        self.state = folder / "state"
        self.kept = self.state / "boot" / name / "kept"

    def describe(self, text: str) -> None:
        """Write the description."""
        self.description.write_text(text)

    def boot(self, datasource: str, *flags: str, within: tuple[str, ...] = ()) -> Report:
        """Boot by the command, to its end; ``within`` is a program that runs another."""
        # A test run that is ended by force takes its guests with it.
        command = [*within, "setpriv", "--pdeathsig", "TERM"]
        command += [sys.executable, "-m", "emulator", "boot"]
        command += [self.image.disk, "--json", "--keep"]
        command += ["--instance", str(self.description), "--state", str(self.state)]
        command += ["--datasource", datasource, "--timeout", str(LIMIT), *flags]
        with slot():
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=LIMIT + 600
            )
        return Report(done)

    def direct(self) -> list[str]:
        """Give the flags that start the kernel without firmware and boot loader."""
        image = self.image
        return ["--kernel", image.kernel, "--initrd", image.initrd, "--append", image.append]

    def disk(self, name: str) -> Disk:
        """Read the disk as the guest left it."""
        return Disk(self.kept / "disk.qcow2", self.folder / name)

    def close(self) -> None:
        """Give the space back."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Disk:
    """The files of a guest's disk."""

    def __init__(self, overlay: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        raw = folder / "disk.raw"
        root = f"{raw}?offset={ROOT_START_MIB << 20}"
        run("qemu-img", "convert", "-O", "raw", str(overlay), str(raw))
        # 1: the journal was replayed, as a mount would have done.
        run("e2fsck", "-fy", root, allowed=(0, 1))
        commands = ""
        for source in DUMPED:
            parent = folder / Path(source).parent.relative_to("/")
            parent.mkdir(parents=True, exist_ok=True)
            commands += f"rdump {source} {parent}\n"
        run("debugfs", "-f", "-", root, stdin=commands)
        raw.unlink()

    def text(self, path: str) -> str:
        """Give a file's text."""
        return (self.folder / path.lstrip("/")).read_text("utf-8", "replace")

    def json(self, path: str) -> Any:
        """Give a file's JSON."""
        return msgspec.json.decode(self.text(path))

    def names(self, path: str) -> set[str]:
        """Give the names in a folder."""
        return {entry.name for entry in (self.folder / path.lstrip("/")).iterdir()}


def run(*command: str, stdin: str = "", allowed: tuple[int, ...] = (0,)) -> None:
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode in allowed, f"{command}: {done.stdout}{done.stderr}"
