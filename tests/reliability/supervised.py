"""A server that is killed and started again, its socket held by its parent or not."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tests.reliability.guests import asked
from tests.server.process import UNLIMITED, Serving

if TYPE_CHECKING:
    from pathlib import Path

# As systemd starts a service that has a socket (sd_listen_fds(3)).
_STARTER = (
    "import os, sys; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
    "os.dup2(int(sys.argv[1]), 3);"
    "os.execv(sys.argv[2], sys.argv[2:])"
)
_POLL = 0.005


class Supervised:
    """``serve`` at one address, whichever process it is; ``held`` keeps the socket open."""

    def __init__(self, folder: Path, *arguments: str, held: bool) -> None:
        self._folder = folder
        self._arguments = (*arguments, *UNLIMITED)
        self._socket: socket.socket | None = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if not held:
            self._socket.close()
            self._socket = None
        self.there = threading.Event()
        """Set while it answers, or has not been missed yet."""
        self.server = self._started()
        self.wait()

    def _started(self) -> Serving:
        if self._socket is None:
            listen = ("--listen", f"127.0.0.1:{self.port}")
            return Serving(self._folder, *self._arguments, *listen)
        number = self._socket.fileno()
        prefix = (sys.executable, "-c", _STARTER, str(number))
        return Serving(self._folder, *self._arguments, prefix=prefix, pass_fds=[number])

    def wait(self) -> float:
        """Return once it answers; give the seconds that this took."""
        begun = time.monotonic()
        while True:
            with suppress(OSError):
                if asked(self.url, "/healthz").status == 200:
                    break
            time.sleep(_POLL)
        self.server.wait()
        self.there.set()
        return time.monotonic() - begun

    def restart(self, how: signal.Signals = signal.SIGKILL) -> float:
        """End the process with ``how``, start another; give the seconds until that one answers."""
        begun = time.monotonic()
        self.there.clear()
        self.end(how)
        self.server.close()
        self.server = self._started()
        self.wait()
        return time.monotonic() - begun

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End the process with ``how``; give its exit status."""
        self.server.process.send_signal(how)
        return self.server.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        if self._socket is not None:
            self._socket.close()
