"""The metadata server beside a guest: a process of its own, on Unix sockets alone.

QEMU's user network hands the host's loopback to the guest, so nothing may listen there.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from emulator.boot.processes import Child
from emulator.boot.workspace import Workspace
from emulator.errors import BootError

STOP_GRACE = 5.0
# The socket of the metadata address; those of doors have the doors' names.
METADATA = "metadata"
_ASK = b"GET /readyz HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n"
_ANSWER_LIMIT = 4096


def serve_command(instance: Path, doors: Iterable[str], space: Workspace) -> list[str]:
    """Give the command that serves ``instance`` to the guest of ``space``, at ``doors`` too."""
    named = [("--door", f"{name}=unix:{space.sockets / name}") for name in doors]
    return [
        *(sys.executable, "-m", "emulator", "serve", str(instance)),
        *("--listen", f"unix:{space.sockets / METADATA}"),
        *chain.from_iterable(named),
        *("--operator", f"unix:{space.sockets / 'operator'}"),
        *("--state", str(space.kept / "server")),
        *("--audit", str(space.run / "audit.jsonl")),
    ]


class MetadataServer:
    """Serves ``instance`` to one guest."""

    def __init__(self, instance: Path, doors: Iterable[str], space: Workspace) -> None:
        """Start serving the description at ``instance``; it is ready once ``ready`` says so."""
        self.audit = space.run / "audit.jsonl"
        self._operator = space.sockets / "operator"
        self.child = Child(serve_command(instance, doors, space), space.run / "server.log")

    def ready(self) -> bool:
        """Tell whether it answers; BootError when it has ended instead."""
        if self.child.status() is not None:
            raise BootError(f"the metadata server did not start:\n{self.child.last_lines()}")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as operator:
                operator.settimeout(1.0)
                operator.connect(str(self._operator))
                operator.sendall(_ASK)
                status = operator.recv(_ANSWER_LIMIT).split(b"\r\n", 1)[0]
        except OSError:
            return False
        return b" 200 " in status

    def stop(self) -> None:
        """Let it finish what it answers, then end it."""
        self.child.stop(STOP_GRACE)
