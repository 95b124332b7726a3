"""Reading files, and remembering in what state each was, so that a change can be noticed.

A state is ``(mtime in ns, inode, size)`` seen through symbolic links: Kubernetes swaps ``..data``
under a mount, and the files behind the same names become others.
"""

from __future__ import annotations

import os
import stat

from emulator.model.document import Unfit, quoted
from emulator.ports import Ports

State = tuple[int, int, int] | None
"""``None`` for a file that is not there: its appearance is a change too."""


class Files:
    """What one loading reads.

    ``seen`` maps each path that was asked for to its state before it was read: whatever happens
    to the file while it is read shows as a change afterwards.
    """

    def __init__(self, ports: Ports) -> None:
        """Start with nothing seen."""
        self._ports = ports
        self.seen: dict[str, State] = {}

    def read(self, path: str, limit: int) -> bytes:
        """Give the bytes of a regular file of at most ``limit`` bytes. Raises ``Unfit``."""
        allowed = f"a readable file of at most {limit} bytes"
        try:
            status = os.stat(path)  # noqa: PTH116 - as pathlib's, without its objects
            self.seen[path] = (status.st_mtime_ns, status.st_ino, status.st_size)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
                raise Unfit(f"{quoted(path)}, {kind}", allowed)
            data = self._ports.read(path) if status.st_size <= limit else b""
        except OSError as error:
            self.seen.setdefault(path, None)
            reason = (error.strerror or str(error)).lower()
            raise Unfit(f"{quoted(path)}, {reason}", allowed) from None
        size = max(len(data), status.st_size)
        if size > limit:
            raise Unfit(f"{quoted(path)}, {size} bytes", allowed)
        return data


def state(path: str) -> State:
    """Give the state of the file at ``path`` now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
