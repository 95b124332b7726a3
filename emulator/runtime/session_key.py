"""The key from which session tokens are made: the operator's, or one made once and kept."""

from __future__ import annotations

import logging

from emulator.errors import ConfigError, Problem
from emulator.ports import Ports
from emulator.runtime.state import State

NAME = "session.key"
SIZE = 32
SHORTEST = 16

_log = logging.getLogger("imds")


def read(ports: Ports, file: str) -> bytes:
    """Give the operator's key, without the white space around it; raise ``ConfigError``."""
    try:
        key = ports.read(file).strip()
    except OSError as error:
        found = f"{file}: {error.strerror}"
    else:
        if len(key) >= SHORTEST:
            return key
        found = f"{file} with {len(key)} bytes"
    allowed = f"a readable file of {SHORTEST} bytes or more, the same on all servers"
    raise ConfigError(Problem("command line", 0, "--session-key", found, allowed))


class SessionKey:
    """Gives the key, made when it is first needed."""

    def __init__(self, ports: Ports, state: State, given: bytes = b"") -> None:
        """Use ``given``, or else what is kept in ``state``."""
        self._ports = ports
        self._state = state
        self._key = given

    def __call__(self) -> bytes:
        """Give the key; one that cannot be kept is good until the process ends."""
        if not self._key:
            made = self._ports.random(SIZE)
            try:
                self._key = self._state.settle(NAME, made)
            except OSError as error:
                _log.warning("session tokens will not outlive this process: %s", error)
                self._key = made
        return self._key
