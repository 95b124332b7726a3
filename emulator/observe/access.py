"""One JSON line for each request, without anything secret in it."""

from __future__ import annotations

import os
import sys

import msgspec

from emulator.errors import StartError
from emulator.observe.observation import Observation


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
