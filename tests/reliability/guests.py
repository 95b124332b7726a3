"""Guests that ask on sockets of their own, one request at a time."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 30.0
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)", re.IGNORECASE)


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    head: bytes
    body: bytes


class Torn(Exception):
    """An answer that began and did not end."""


# Of Linux, and not in every Python's socket: the port is chosen with the peer known. Else the
# kernel looks for one that is free of all peers, which takes long after many connections.
_NO_PORT = 24


def connected(where: tuple[str, int], local: str, seconds: float = SECONDS) -> socket.socket:
    """Connect from ``local``; raise ``OSError``."""
    made = socket.socket()
    try:
        made.settimeout(seconds)
        made.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
        made.bind((local, 0))
        made.connect(where)
    except OSError:
        made.close()
        raise
    return made


class Guest:
    """One connection from ``local`` to the server at ``url``."""

    def __init__(self, url: str, local: str = "127.0.0.1", seconds: float = SECONDS) -> None:
        """Connect; raise ``OSError``."""
        parts = urlsplit(url)
        where = (parts.hostname or "", parts.port or 80)
        self.socket = connected(where, local, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, path: str, method: str = "GET", **headers: str) -> None:
        """Ask, and do not wait for the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: metadata"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def answer(self) -> Answer:
        """Give the whole answer; raise ``Torn`` if it ends early, ``OSError`` if none begins."""
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += self._more()
            head, _, body = data.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            assert length is not None, head
            while len(body) < int(length[1]):
                body += self._more()
        except ConnectionError as error:
            if data:
                raise Torn(data) from error
            raise
        assert len(body) == int(length[1]), data
        return Answer(int(head.split(b" ", 2)[1]), head, body)

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask, and give the answer."""
        self.send(path, method, **headers)
        return self.answer()

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        return data


def asked(url: str, path: str, local: str = "127.0.0.1", **headers: str) -> Answer:
    """Ask once on a connection of its own."""
    with Guest(url, local) as guest:
        return guest.ask(path, **headers)


def values(head: bytes) -> Mapping[str, str]:
    """Give the headers of an answer by their names in small letters."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
