"""Tells systemd how the service is (sd_notify(3))."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(message: str, environ: Mapping[str, str]) -> None:
    """Send ``message`` (``READY=1``, ``STOPPING=1``) if a supervisor listens; never fail."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), address)
