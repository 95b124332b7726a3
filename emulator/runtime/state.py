"""What outlives the process: generated keys, posted passwords, the last good description."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident


def default_directory(environ: Mapping[str, str]) -> str:
    """Give the XDG state folder of this program (XDG Base Directory Specification)."""
    home = environ.get("HOME") or "/var/lib"
    base = environ.get("XDG_STATE_HOME") or Path(home, ".local/state")
    return str(Path(base, "imds-emulator"))


class State:
    """Files below one folder; each is written whole or not at all, and for its owner alone."""

    def __init__(self, directory: str) -> None:
        """Use ``directory``, which is made when something is first saved."""
        self._directory = Path(directory)

    def path(self, name: str) -> Path:
        """Say where ``name`` is kept."""
        return self._directory / name

    def load(self, name: str) -> bytes | None:
        """Give what was saved as ``name``, None if nothing was; raise ``OSError``."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def save(self, name: str, data: bytes) -> None:
        """Keep ``data`` as ``name``, durably; raise ``OSError``."""
        with self._written(name, data) as partial:
            partial.rename(self.path(name))

    def settle(self, name: str, data: bytes) -> bytes:
        """Keep ``data`` unless there is a ``name`` already; give what is kept; raise ``OSError``.

        Of several processes that begin at once, all get what the first one kept.
        """
        found = self.load(name)
        if found is not None:
            return found
        with self._written(name, data) as partial, suppress(FileExistsError):
            os.link(partial, self.path(name))
        return self.path(name).read_bytes()

    @contextmanager
    def _written(self, name: str, data: bytes) -> Iterator[Path]:
        """Give a file that holds ``data`` beside where ``name`` is to be."""
        target = self.path(name)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.{get_ident()}")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield partial
            _flush(target.parent)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


def _flush(folder: Path) -> None:
    """Have the folder's new entry outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def password_name(uuid: str) -> str:
    """Say under which name the password that the machine ``uuid`` posted is kept."""
    return f"instances/{uuid}/password"
