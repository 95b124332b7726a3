"""systemd hears how the service is, and nobody is bothered without it."""

from __future__ import annotations

import socket
from pathlib import Path

from emulator.runtime.notify import notify


def test_the_supervisor_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        notify("READY=1", {"NOTIFY_SOCKET": path})
        assert supervisor.recv(64) == b"READY=1"


def test_without_a_supervisor_nothing_happens(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notify("READY=1", {"NOTIFY_SOCKET": "@nobody-listens-here"})
