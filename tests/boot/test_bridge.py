from __future__ import annotations

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from emulator.boot import bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BIG = bytes(range(256)) * 16_384


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Give a function that handles each connection to a Unix socket; it gives the path."""
    opened: list[socket.socket] = []

    def start(handle: Callable[[socket.socket], None]) -> str:
        path = str(tmp_path / "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(64)
        opened.append(listener)

        def accept() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handled, args=(peer,), daemon=True).start()

        def handled(peer: socket.socket) -> None:
            with peer:
                handle(peer)

        threading.Thread(target=accept, daemon=True).start()
        return path

    yield start
    for listener in opened:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class Connection:
    """A guest's connection, given to the program as QEMU gives it: one socket for both ways."""

    def __init__(self, path: str) -> None:
        self.guest, theirs = socket.socketpair()
        self.guest.settimeout(30)
        command = [sys.executable, "-I", "-S", bridge.__file__, path]
        with theirs:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=theirs.fileno()
            )

    def read_all(self) -> bytes:
        parts = []
        while part := self.guest.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)

    def end(self) -> int:
        self.guest.close()
        return self.process.wait(30)


def read_all(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def test_an_answer_comes_after_the_request_has_ended(
    serve: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    connection = Connection(serve(lambda peer: peer.sendall(read_all(peer)[::-1])))
    connection.guest.sendall(b"hello")
    connection.guest.shutdown(socket.SHUT_WR)
    assert connection.read_all() == b"olleh"
    assert connection.end() == 0


def test_large_bodies_pass_whole_in_both_directions(
    serve: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    def echo(peer: socket.socket) -> None:
        while data := peer.recv(1 << 16):
            peer.sendall(data)

    path = serve(echo)

    def round_trip(number: int) -> bool:
        connection = Connection(path)
        body = bytes([number]) + BIG

        def send() -> None:
            connection.guest.sendall(body)
            connection.guest.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        same = connection.read_all() == body
        sender.join()
        return same and connection.end() == 0

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(round_trip, range(4)))


def test_the_server_may_end_first(
    serve: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    def short(peer: socket.socket) -> None:
        peer.recv(1)
        peer.sendall(b"done")

    connection = Connection(serve(short))
    connection.guest.sendall(b"x")
    assert connection.read_all() == b"done"
    assert connection.end() == 0


def test_a_guest_that_goes_away_ends_the_program(
    serve: Callable[[Callable[[socket.socket], None]], str],
) -> None:
    connection = Connection(serve(lambda peer: peer.sendall(read_all(peer))))
    connection.guest.sendall(b"x")
    assert connection.end() == 0


def test_without_a_server_the_connection_is_closed(tmp_path: Path) -> None:
    connection = Connection(str(tmp_path / "nobody"))
    assert connection.read_all() == b""
    assert connection.end() == 1
