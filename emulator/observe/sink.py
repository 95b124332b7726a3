"""Where audit lines are written: a thread of its own, so that no guest waits for a disk."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import localtime, strftime
from typing import Protocol

from emulator.errors import ConfigError, Problem, StartError

MOST_HELD = 4 << 20
"""Bytes that wait to be written; what comes on top is dropped."""

_SYSLOG = "syslog:"
# Of security and authorisation, informational (RFC 5424, 6.2.1).
_PRIORITY = 10 * 8 + 6

_log = logging.getLogger("imds")


class Place(Protocol):
    """What lines are written to."""

    def write(self, lines: list[bytes]) -> int:
        """Write ``lines``, for as long as that takes; give how many could be, the first ones."""

    def reopen(self) -> None:
        """Go on in what is there now; raise ``StartError``."""


class File:
    """A file that grows to ``most`` bytes and is then kept as ``.1``, up to ``kept`` of them."""

    def __init__(self, path: str, most: int, kept: int) -> None:
        """Open ``path`` for appending; raise ``StartError``. With ``most`` 0 it grows for ever."""
        self._path = path
        self._most = most
        self._kept = kept
        self._descriptor = -1
        self._torn = False
        self.reopen()

    def reopen(self) -> None:
        """Go on in the file that now has the path: another program rotated the old one away."""
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            why = f"cannot write the audit log {self._path}: {error.strerror}"
            raise StartError(why) from error
        before, self._descriptor = self._descriptor, opened
        if before >= 0:
            os.close(before)

    def write(self, lines: list[bytes]) -> int:
        """Write ``lines``; give how many are whole in the file."""
        data = b"\n".join([*lines, b""])
        if self._torn:
            data = b"\n" + data
        if self._full(len(data)):
            self._rotate()
        done = 0
        while done < len(data):
            try:
                done += os.write(self._descriptor, data[done:])
            except OSError:
                # What comes next begins on a line of its own.
                self._torn = not data[:done].endswith(b"\n") if done else self._torn
                return data[:done].count(b"\n", 1 if data.startswith(b"\n") else 0)
        self._torn = False
        return len(lines)

    def _full(self, more: int) -> bool:
        # A device or a pipe has no size.
        size = os.fstat(self._descriptor).st_size
        return bool(self._most and size and size + more > self._most)

    def _rotate(self) -> None:
        with suppress(OSError, StartError):
            # One file that is too long is better than lines that are lost.
            for number in range(self._kept - 1, 0, -1):
                with suppress(FileNotFoundError):
                    Path(f"{self._path}.{number}").rename(f"{self._path}.{number + 1}")
            Path(self._path).rename(f"{self._path}.1") if self._kept else Path(self._path).unlink()
            self.reopen()


class Output(File):
    """Standard output, which is nobody's to rotate."""

    def __init__(self) -> None:
        """Write where the process writes."""
        self._most = 0
        self._torn = False
        self._descriptor = sys.stdout.fileno()

    def reopen(self) -> None:
        """Stay: who reads it holds the other end."""


class Syslog:
    """A local syslog daemon's socket, one datagram for each line, as the C library writes it."""

    def __init__(self, path: str) -> None:
        """Send to ``path``; it need not be there yet."""
        self._path = path
        self._socket: socket.socket | None = None

    def reopen(self) -> None:
        """Connect anew before the next line."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def write(self, lines: list[bytes]) -> int:
        """Send ``lines``; give how many were taken."""
        head = f"<{_PRIORITY}>{strftime('%b %e %T', localtime())} imds-emulator[{os.getpid()}]: "
        for sent, line in enumerate(lines):
            try:
                self._connected().send(head.encode() + line)
            except OSError:
                self.reopen()
                return sent
        return len(lines)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.connect(self._path)
        return self._socket


class Writer:
    """Takes lines and has a thread write them, in their order.

    ``written`` and ``dropped`` count them. Whoever puts some never waits, whatever becomes of the
    place that they are meant for.
    """

    def __init__(
        self, place: Place, lost: Callable[[int], bytes], most_held: int = MOST_HELD
    ) -> None:
        """Write to ``place``; hold at most ``most_held`` bytes that wait.

        ``lost`` gives the line that says how many were dropped, once it can be written.
        """
        self._place = place
        self._lost = lost
        self._most_held = most_held
        self._held = 0
        self._waiting: deque[list[bytes]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ending = False
        # Lost since the last one that was written, and of these not said in the log itself yet.
        self._failed = 0
        self._unsaid = 0
        self.written = 0
        self.dropped = 0

    def put(self, lines: list[bytes]) -> None:
        """Take ``lines`` to be written, or drop them if too much is waiting."""
        size = sum(map(len, lines))
        with self._wake:
            if self._held + size > self._most_held:
                self._drop(len(lines))
                return
            self._held += size
            self._waiting.append(lines)
            self._wake.notify()
        if self._thread is None:
            # Ends with the process: a place that takes nothing does not hold that up.
            self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
            self._thread.start()

    def reopen(self) -> None:
        """Go on in the file that is there now; raise ``StartError``."""
        self._place.reopen()

    def close(self, seconds: float) -> None:
        """Write what waits, for ``seconds`` at most."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                lines = [line for batch in self._waiting for line in batch]
                self._waiting.clear()
            whole = self._write(lines)
            with self._wake:
                self._held -= sum(map(len, lines))
                last = whole and not self._waiting and self._unsaid
            if last:
                # Perhaps nothing more comes for long.
                self._write([])

    def _write(self, lines: list[bytes]) -> bool:
        """Write ``lines``, and before them how many are missing; say whether all were taken."""
        unsaid = self._unsaid
        first = [self._lost(unsaid)] if unsaid else []
        done = self._place.write(first + lines)
        written = max(0, done - len(first))
        whole = done == len(first) + len(lines)
        with self._wake:
            self.written += written
            self._unsaid -= unsaid if done else 0
            if not whole:
                self._drop(len(lines) - written)
            elif self._failed:
                _log.warning("the audit log goes on; %d lines were lost", self._failed)
                self._failed = 0
        return whole

    def _drop(self, count: int) -> None:
        if not self._failed:
            _log.error("audit lines are being lost: they cannot be written, or not fast enough")
        self._failed += count
        self._unsaid += count
        self.dropped += count


def place(where: str, most: int, kept: int) -> Place:
    """Read ``FILE``, ``-`` for standard output or ``syslog:PATH``.

    Raises ``ConfigError`` or, for what cannot be opened, ``StartError``.
    """
    if where == "-":
        return Output()
    if not where.startswith(_SYSLOG):
        return File(where, most, kept)
    path = where.removeprefix(_SYSLOG)
    if not path:
        allowed = "FILE, - for standard output, syslog:PATH or off"
        raise ConfigError(Problem("command line", 0, "--audit", f'"{where}"', allowed))
    return Syslog(path)
