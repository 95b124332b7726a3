"""One JSON line for each request, without anything secret in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import msgspec

from emulator.errors import StartError

_LONGEST = 200


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One answered request.

    ``time`` is seconds since the epoch, ``reason`` the refusal or empty, ``path`` normalised and
    cut to 200 characters; no query, header or body is kept but the user agent, cut likewise.
    ``session`` is ``given`` or ``absent`` where session tokens are taken, ``lifetime`` the seconds
    of one that was issued. One that ``waited`` hung until there was something new to tell.
    """

    time: float
    vm: str
    dialect: str
    area: str
    method: str
    path: str
    status: int
    reason: str
    bytes: int
    duration_us: int
    user_agent: str
    peer: str
    namespace: str = ""
    session: str = ""
    lifetime: int = 0
    waited: bool = False


Observer = Callable[[Observation], None]


def bounded(text: str) -> str:
    """Cut what a guest chose to a length that cannot flood a log."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


class AccessLog:
    """Appends observations to a file, or to standard error."""

    def __init__(self, path: str) -> None:
        """Open ``path`` for appending, ``-`` for standard error; raise ``StartError``."""
        self._encoder = msgspec.json.Encoder()
        self._path = path
        self._descriptor = sys.stderr.fileno()
        self.reopen()

    def reopen(self) -> None:
        """Go on in the file that now has the path: the old one was rotated away."""
        if self._path == "-":
            return
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            why = f"cannot write the access log {self._path}: {error.strerror}"
            raise StartError(why) from error
        if self._descriptor != sys.stderr.fileno():
            os.close(self._descriptor)
        self._descriptor = opened

    def __call__(self, observation: Observation) -> None:
        """Write one line; a log that cannot be written never costs a guest its answer."""
        try:
            os.write(self._descriptor, self._encoder.encode(observation) + b"\n")
        except OSError:
            return
