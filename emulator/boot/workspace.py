"""The folder of one machine's boots: what is kept between them, and what goes with each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from emulator.boot import disk
from emulator.errors import BootError, ImageError

_RECORD = "disk.json"
# In a run's folder: where its sockets are, for whoever has to clean up after it.
_SOCKETS = "sockets"
# Leaves room for the names below it in a Unix socket's 107 bytes.
_LONGEST_TEMPORARY = 70


class Origin(msgspec.Struct, frozen=True):
    """Of which image a kept disk holds the differences."""

    image: str
    size: int
    changed: int


class Workspace(msgspec.Struct, frozen=True):
    """Where a boot keeps its files.

    ``home`` stays: the console, and with ``keep`` the disk. ``run`` and ``sockets`` go; the latter
    has a short path, because that of a Unix socket may have 107 bytes only.
    """

    home: Path
    run: Path
    sockets: Path
    keep: bool

    @property
    def console(self) -> Path:
        """The file that gets the console."""
        return self.home / "console.log"

    @property
    def kept(self) -> Path:
        """The folder of what a guest changes: its disk, its firmware's variables, server state."""
        return self.home / "kept" if self.keep else self.run

    def overlay(self, base: disk.Disk) -> Path:
        """Give the disk for the guest's writes, the kept one if there is one of the same image."""
        overlay = self.kept / "disk.qcow2"
        with _reported(self.kept):
            origin = _origin(base)
            if overlay.exists():
                self._check(origin)
                return overlay
            self.kept.mkdir(mode=0o700, exist_ok=True)
            with _whole(overlay):
                disk.create_overlay(base, overlay)
                (self.kept / _RECORD).write_bytes(msgspec.json.encode(origin))
        return overlay

    def variables(self, template: Path) -> Path:
        """Give the guest's own copy of the firmware's variables."""
        copy = self.kept / "firmware.fd"
        with _reported(self.kept):
            if not copy.exists():
                self.kept.mkdir(mode=0o700, exist_ok=True)
                with _whole(copy):
                    shutil.copyfile(template, copy)
                    copy.chmod(0o600)
        return copy

    def free(self) -> int:
        """Give the bytes that are left for the guest's disk."""
        return shutil.disk_usage(self.home).free

    def _check(self, origin: Origin) -> None:
        try:
            kept = msgspec.json.decode((self.kept / _RECORD).read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError):
            kept = None
        if kept != origin:
            was = kept.image if kept else "an image that is not recorded"
            raise ImageError(
                f"the disk kept in {self.kept} was made from {was}, which has changed or is not "
                f"{origin.image}; remove that folder to start afresh"
            )


@contextlib.contextmanager
def workspace(state: Path, name: str, *, keep: bool) -> Iterator[Workspace]:
    """Give the workspace of machine ``name`` below ``state``, alone; BootError if it is in use."""
    home = state / "boot" / name
    with _reported(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with _reported(home):
            _alone(lock, name)
            # A boot that was killed outright could not clean up.
            _sweep(home)
            (home / "console.log").write_bytes(b"")
        with contextlib.ExitStack() as stack:
            with _reported(home):
                run = Path(stack.enter_context(_folder("run.", home)))
                sockets = Path(stack.enter_context(_folder("imds-", _short())))
                (run / _SOCKETS).symlink_to(sockets)
            yield Workspace(home, run, sockets, keep)
    finally:
        os.close(lock)


def _sweep(home: Path) -> None:
    for stale in home.glob("run.*"):
        with contextlib.suppress(OSError):
            shutil.rmtree((stale / _SOCKETS).readlink())
        shutil.rmtree(stale, ignore_errors=True)


def _short() -> Path:
    folder = Path(tempfile.gettempdir())
    return folder if len(str(folder)) <= _LONGEST_TEMPORARY else Path("/tmp")  # noqa: S108


def _folder(prefix: str, parent: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)


def _alone(lock: int, name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise BootError(f"{name} is being booted already (by process {holder})") from None
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _origin(base: disk.Disk) -> Origin:
    path = os.path.realpath(base.path)
    facts = Path(path).stat()
    return Origin(path, facts.st_size, facts.st_mtime_ns)


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Remove ``file`` when making it fails: the next boot would take the half for the whole."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into a BootError that names the file, or ``folder``."""
    try:
        yield
    except OSError as error:
        # copyfile names its source first, which is not the file that has no room.
        name = error.filename2 or error.filename or folder
        raise BootError(f"{name}: {error.strerror}") from error
