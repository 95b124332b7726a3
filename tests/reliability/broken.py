"""A token service that goes wrong: a relay on TCP that does to each connection what it is told."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 60


class Broken:
    """Listens before the service at ``port``; ``how`` treats each new connection."""

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._listening: socket.socket | None = None
        self._port = 0
        self._open: list[socket.socket] = []
        self._over = False
        self.how: Callable[[socket.socket], None] = self.relay
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Take connections, at the same port as before."""
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def refuse(self) -> None:
        """Be gone: connections are refused."""
        if self._listening is not None:
            # Else the thread that accepts would hold it open.
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def heal(self) -> None:
        """Relay again, and leave those that hang."""
        if self._listening is None:
            self.listen()
        self.how = self.relay
        self._leave()

    def _leave(self) -> None:
        while self._open:
            self._open.pop().close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.settimeout(_SECONDS)
            threading.Thread(target=self._treat, args=(connection,), daemon=True).start()

    def _treat(self, connection: socket.socket) -> None:
        try:
            self.how(connection)
        except OSError:
            connection.close()

    def relay(self, connection: socket.socket) -> None:
        """Do no harm."""
        with connection, socket.create_connection(self._upstream, _SECONDS) as upstream:
            upstream.sendall(_request(connection))
            while data := upstream.recv(1 << 16):
                connection.sendall(data)

    def hang(self, connection: socket.socket) -> None:
        """Take the request, and say nothing."""
        self._open.append(connection)
        if self._over:
            self._leave()

    def drip(self, connection: socket.socket) -> None:
        """Answer one byte at a time, for ever, so that no read of it takes long."""
        with connection:
            _request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                connection.sendall(b"<")
                time.sleep(0.2)

    def drip_head(self, connection: socket.socket) -> None:
        """Likewise, but never come to a body."""
        with connection:
            _request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                connection.sendall(b"x")
                time.sleep(0.2)

    def flood(self, connection: socket.socket) -> None:
        """Answer without end, as fast as it is taken."""
        with connection:
            _request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * (1 << 20))

    def says(self, answer: bytes) -> Callable[[socket.socket], None]:
        """Answer with these bytes, and hang up."""

        def say(connection: socket.socket) -> None:
            with connection:
                _request(connection)
                connection.sendall(answer)

        return say

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.refuse()
        self._leave()


def _request(connection: socket.socket) -> bytes:
    """Read a request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16) or _gone()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    (length,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        more = connection.recv(1 << 16) or _gone()
        body += more
        data += more
    # So that the service hangs up after its answer.
    return data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def _gone() -> bytes:
    raise ConnectionResetError("the client has hung up")


def answered(
    body: bytes, status: str = "200 OK", kind: str = "text/xml", length: int = -1
) -> bytes:
    """Give an HTTP answer; ``length`` is what it says of its body."""
    said = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\n\r\n"
    return head.encode() + body
