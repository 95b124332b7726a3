"""Tokens in files that somebody else rotates; what is served was never half written.

The kubelet writes a new folder and swaps a symlink: one open file is then old or new, never both,
and the first that was opened stays the one that is read.
Other writers (an agent, ``cp``, a shell's ``>``) change the file in place, and no lock says when
they are done. So a file counts as finished when it did not change while it was read, nor for a
while before; until then it is read again, for a bounded time.
"""

from __future__ import annotations

import asyncio
import os
import stat

import msgspec

from emulator.core.message import ServiceToken
from emulator.errors import TokenUnavailable
from emulator.ports import Ports
from emulator.tokens.jwt import Shape, expiry, shape

# A ServiceAccount token has 1 to 2 KiB; what has more is some other file.
LIMIT = 64 << 10

# Seconds without a change after which a writer counts as done. A JWT that is all there needs
# little beyond a writer's pause between two writes of one token; of other texts nothing but time
# can tell.
QUIET = {Shape.WHOLE: 0.05, Shape.OPAQUE: 0.25}

# How often a file is looked at, and the seconds between: 0.4 s in all, less than the most
# impatient client of contract 0.1-7 waits. Only requests right after a change need a second look.
_LOOKS = 40
_PAUSE = 0.01

# So many times a missing file is looked for: the kubelet removes the old folder after the swap,
# and a path that was being resolved then leads nowhere.
_SWAP_LOOKS = 3


class _Look(msgspec.Struct, frozen=True):
    """What a file held, and by which its next change is noticed; None if it changed meanwhile."""

    data: bytes | None
    mark: tuple[int, ...]
    changed: float


class TokenFiles:
    """Reads token files, each time anew."""

    def __init__(self, ports: Ports) -> None:
        """Tell time by ``ports``."""
        self._ports = ports

    async def read(self, path: str) -> ServiceToken:
        """Give the token in ``path``; raise ``TokenUnavailable``, never with any of its text."""
        file = _File(path, self._ports)
        try:
            for number in range(_LOOKS):
                if number:
                    await asyncio.sleep(_PAUSE)
                token = file.look(retry=number < _SWAP_LOOKS)
                if token:
                    return ServiceToken(token, expiry(token))
        finally:
            file.close()
        raise TokenUnavailable(f"{path}: still being written")


class _File:
    """The file that a path led to, held open until it counts as finished.

    Who puts another in its place, however often, leaves this one as it was when it was asked for.
    """

    def __init__(self, path: str, ports: Ports) -> None:
        self._path = path
        self._ports = ports
        self._descriptor = -1
        self._mark: tuple[int, ...] | None = None
        self._since = 0.0

    def look(self, *, retry: bool) -> str:
        """Give its token, empty if it may yet change, or is missing and may ``retry`` to be there.

        Raises ``TokenUnavailable``.
        """
        wall, now = self._ports.wall(), self._ports.monotonic()
        try:
            if self._descriptor < 0:
                # Not waiting for a writer, should it be a pipe.
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags)
            look = _look(self._descriptor, self._path)
        except OSError as error:
            if retry and isinstance(error, FileNotFoundError):
                return ""
            raise TokenUnavailable(f"{self._path}: {error.strerror}") from error
        if look.mark != self._mark:
            self._mark, self._since = look.mark, now
        try:
            # Another machine's clock may have stamped it: then what was seen here counts.
            return _finished(look, max(wall - look.changed, now - self._since), self._path)
        except TokenUnavailable:
            if not self._is_replaced():
                raise
            self.close()
            return ""

    def _is_replaced(self) -> bool:
        held = os.fstat(self._descriptor)
        try:
            return not os.path.samestat(held, os.stat(self._path))  # noqa: PTH116 - as opened
        except OSError:
            return False

    def close(self) -> None:
        """Hold it no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _look(descriptor: int, path: str) -> _Look:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise TokenUnavailable(f"{path}: not a regular file")
    if before.st_size > LIMIT:
        raise TokenUnavailable(f"{path}: larger than {LIMIT} bytes")
    os.lseek(descriptor, 0, os.SEEK_SET)
    data = os.read(descriptor, LIMIT + 1)
    mark = _mark(os.fstat(descriptor))
    steady = mark == _mark(before) and len(data) == before.st_size
    return _Look(data if steady else None, mark, before.st_ctime)


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """Tell one state of a file from another; unlike mtime, ctime cannot be set back."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)


def _finished(look: _Look, quiet: float, path: str) -> str:
    """Give the token of a file unchanged for ``quiet`` seconds; empty if it may yet change."""
    if look.data is None:
        return ""
    try:
        token = look.data.decode().strip()
    except UnicodeDecodeError:
        token = ""
    kind = shape(token) if token.isprintable() else Shape.PIECE
    if quiet < QUIET.get(kind, QUIET[Shape.OPAQUE]):
        return ""
    if kind is Shape.PIECE:
        raise TokenUnavailable(f"{path}: holds no whole token")
    return token
