"""Where images are kept: one folder each, made aside and renamed, one maker at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from emulator.errors import ImageError

RECORD = "image.json"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A cached disk image.

    ``disk`` boots by its own loader. ``kernel``, ``initrd`` and ``append`` boot the same disk
    without a loader; they are empty for an image that was fetched. ``origin`` says where it is
    from. Paths in a record are relative to its folder, in a loaded image they are absolute.
    """

    name: str
    disk: str
    origin: str
    kernel: str = ""
    initrd: str = ""
    append: str = ""


def cache_folder(environ: dict[str, str] | None = None) -> Path:
    """Give the folder of all images: below XDG_CACHE_HOME, or ``~/.cache``."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "imds-emulator" / "images"


class Cache:
    """The images below one folder; an entry is complete or absent."""

    def __init__(self, folder: Path) -> None:
        """Keep images below ``folder``, which need not exist yet."""
        self.folder = folder

    def find(self, entry: str) -> Image | None:
        """Give the image kept as ``entry``, or None; an unreadable record counts as none."""
        home = self.folder / entry
        try:
            image = msgspec.json.decode((home / RECORD).read_bytes(), type=Image)
        except (OSError, msgspec.DecodeError):
            return None

        def place(name: str) -> str:
            return str(home / name) if name else ""

        return msgspec.structs.replace(
            image,
            disk=place(image.disk),
            kernel=place(image.kernel),
            initrd=place(image.initrd),
        )

    def all(self) -> list[Image]:
        """Give every complete image, by name."""
        entries = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        found = (self.find(home.name) for home in entries if home.is_dir())
        return sorted((image for image in found if image), key=lambda image: image.name)

    @contextlib.contextmanager
    def lock(self, entry: str) -> Iterator[None]:
        """Hold ``entry`` alone among all processes; another holder is waited for."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / f"{entry}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ImageError(f"image cache {self.folder}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def making(self, entry: str) -> Iterator[Path]:
        """Give an empty folder beside the entries; it is gone afterwards unless ``keep`` took it.

        Call with the lock held: leftovers of a maker that was killed are swept first.
        """
        for stale in self.folder.glob(f".{entry}.*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".{entry}.", dir=self.folder))
        try:
            yield work
        except OSError as error:
            raise ImageError(f"{entry}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def keep(self, entry: str, work: Path, image: Image) -> Image:
        """Make ``work`` the entry, complete with its record; give the image with its new paths."""
        (work / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(image)))
        work.chmod(0o755)
        home = self.folder / entry
        if home.exists():
            shutil.rmtree(home)
        work.rename(home)
        kept = self.find(entry)
        if kept is None:
            raise ImageError(f"{home}: vanished while it was written")
        return kept
