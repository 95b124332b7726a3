"""One HTTP exchange that ends in time, and keeps to a size, whatever the other side does.

A timeout is for each read: who sends a byte a second would have a thread for ever.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import msgspec

CONNECT_SECONDS = 3.0
WHOLE_SECONDS = 8.0

_MOST = 1 << 20
_PORTS = {"http": 80, "https": 443}


class Received(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Late(OSError):
    """No whole answer came in time."""


class Long(OSError):
    """An answer that is too large."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str | bytes],
    context: ssl.SSLContext,
    seconds: float = WHOLE_SECONDS,
) -> Received:
    """Send ``body`` and give the answer; raise ``OSError`` or ``HTTPException``.

    Blocks: to look up the host's name and to connect, and then for ``seconds`` at most.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    late = threading.Event()
    stream = socket.create_connection((host, port), CONNECT_SECONDS)
    # Another descriptor of the same connection, whatever is made of the first one.
    with stream.dup() as handle:
        timer = threading.Timer(seconds, _end, (handle, late))
        timer.daemon = True
        timer.start()
        try:
            stream.settimeout(seconds)
            if parts.scheme == "https":
                stream = context.wrap_socket(stream, server_hostname=host)
            return _exchange(stream, url, body, headers, late)
        except Exception:
            if late.is_set():
                raise Late(url) from None
            raise
        finally:
            timer.cancel()
            timer.join()
            stream.close()


def _end(connection: socket.socket, late: threading.Event) -> None:
    """Wake who reads or writes on ``connection``."""
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _exchange(
    stream: socket.socket,
    url: str,
    body: bytes,
    headers: Mapping[str, str | bytes],
    late: threading.Event,
) -> Received:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    connection.sock = stream
    connection.request("POST", parts.path or "/", body, {**headers, "Connection": "close"})
    with connection.getresponse() as answer:
        data = answer.read(_MOST + 1)
    if len(data) > _MOST:
        raise Long(url)
    if late.is_set():
        # An answer without a length looks whole, wherever it ends.
        raise Late(url)
    return Received(answer.status, dict(answer.getheaders()), data)
