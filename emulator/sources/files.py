"""Reading files, and remembering in what state each was, so that a change can be noticed.

A state is ``(mtime in ns, inode, size)`` seen through symbolic links: Kubernetes swaps ``..data``
under a mount, and the files behind the same names become others.
"""

from __future__ import annotations

import os
import stat

from emulator.model.document import Unfit
from emulator.ports import Ports

State = tuple[int, int, int] | tuple[str, ...] | None
"""Of a file, or of a folder its names; ``None`` if it is not there, for it may come."""


class Files:
    """What one loading reads.

    ``seen`` maps each path that was asked for to its state *before* it was read: whatever happens
    to a file while it is read shows as a change afterwards. Folders end in ``/``.
    """

    def __init__(self, ports: Ports) -> None:
        """Start with nothing seen."""
        self._ports = ports
        self.seen: dict[str, State] = {}

    def read(self, path: str, limit: int) -> bytes:
        """Give the bytes of a regular file of at most ``limit`` bytes. Raises ``Unfit``."""
        allowed = f"a readable file of at most {limit} bytes"
        self.seen[path] = state(path)
        try:
            status = os.stat(path)  # noqa: PTH116 - without pathlib's objects, it is polled
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                raise Unfit(kind, allowed)
            # Not read at all if too large: it may be larger than memory.
            data = self._ports.read(path) if status.st_size <= limit else b""
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or str(error)
            raise Unfit(reason.lower(), allowed) from None
        size = max(len(data), status.st_size)
        if size > limit:
            raise Unfit(f"{size} bytes", allowed)
        return data

    def names(self, folder: str) -> tuple[str, ...]:
        """Give the names in ``folder``, sorted, without hidden ones; none if it is not there."""
        self.seen[f"{folder}/"] = found = state(f"{folder}/")
        return tuple(name for name in found or () if isinstance(name, str))


def state(path: str) -> State:
    """Give the state of the file at ``path``, or of the folder at ``path/``, now."""
    try:
        if path.endswith("/"):
            names = os.listdir(path)  # noqa: PTH208 - as above
            return tuple(sorted(name for name in names if not name.startswith(".")))
        status = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
