"""One machine attacks a server, as a process of its own: ``python -m tests.reliability.attack``.

Arguments: the kind of attack, the server's URL, the address to come from. It says that it has
begun, and goes on until its standard input ends.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.reliability.guests import connected
from tests.reliability.load import TOKEN

Where = tuple[tuple[str, int], str]
"""The server, and the address to come from."""

_SMALL = b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: metadata\r\n\r\n"
_LARGE = b"GET /latest/user-data HTTP/1.1\r\nHost: metadata\r\n\r\n"
_WRONG = _SMALL.replace(b"\r\n\r\n", f"\r\n{TOKEN}: {'A' * 64}\r\n\r\n".encode())
_ISSUE = (
    b"PUT /latest/api/token HTTP/1.1\r\nHost: metadata\r\n"
    b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
)
_NAMED = _SMALL.replace(
    b"/latest/meta-data/hostname", b"/computeMetadata/v1/?recursive=true"
).replace(b"\r\n\r\n", b"\r\nMetadata-Flavor: Google\r\n\r\n")


def pipelined(where: Where, request: bytes, connections: int, depth: int) -> None:
    """Ask without waiting for answers, and take them as fast as they come."""
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            _register(selector, where)
        while True:
            for key, ready in selector.select(1):
                stream = key.fileobj
                assert isinstance(stream, socket.socket)
                try:
                    if ready & selectors.EVENT_READ and not stream.recv(1 << 18):
                        raise ConnectionResetError
                    if ready & selectors.EVENT_WRITE:
                        stream.send(request * depth)
                except BlockingIOError:
                    continue
                except OSError:
                    selector.unregister(stream)
                    stream.close()
                    _register(selector, where)


def _register(selector: selectors.BaseSelector, where: Where) -> None:
    stream = _connected(where)
    stream.setblocking(False)  # noqa: FBT003 - its own signature
    selector.register(stream, selectors.EVENT_READ | selectors.EVENT_WRITE)


def _connected(where: Where) -> socket.socket:
    while True:
        try:
            return connected(*where, 10)
        except OSError:
            time.sleep(0.01)


def reconnecting(where: Where, request: bytes, threads: int) -> None:
    """Connect, ask, wait for the first bytes, hang up; in ``threads`` at once."""

    def attack() -> None:
        while True:
            with suppress(OSError), _connected(where) as stream:
                stream.sendall(request)
                if request:
                    stream.recv(1 << 16)

    _each(threads, attack)


def stalling(where: Where, request: bytes, connections: int) -> None:
    """Ask for much on many connections, and take a little of it now and then."""

    def attack() -> None:
        while True:
            with suppress(OSError), _connected(where) as stream:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stream.sendall(request * 8)
                while stream.recv(1024):
                    time.sleep(0.1)

    _each(connections, attack)


def idling(where: Where, connections: int) -> None:
    """Hold connections and say nothing."""

    def attack() -> None:
        while True:
            with suppress(OSError), _connected(where) as stream:
                stream.settimeout(None)
                stream.recv(1)
            time.sleep(0.05)

    _each(connections, attack)


def _each(threads: int, attack: Callable[[], None]) -> None:
    for _ in range(threads):
        threading.Thread(target=attack, daemon=True).start()
    threading.Event().wait()


KINDS: dict[str, Callable[[Where], None]] = {
    "requests": lambda where: pipelined(where, _SMALL, 64, 8),
    "large answers": lambda where: pipelined(where, _LARGE, 32, 1),
    "whole trees": lambda where: pipelined(where, _NAMED, 32, 8),
    "wrong tokens": lambda where: pipelined(where, _WRONG, 64, 8),
    "new tokens": lambda where: reconnecting(where, _ISSUE, 32),
    "connections": lambda where: reconnecting(where, b"", 64),
    "a request each": lambda where: reconnecting(where, _SMALL, 64),
    "slow readers": lambda where: stalling(where, _LARGE, 200),
    "idlers": lambda where: idling(where, 300),
}


@contextmanager
def attacked(kind: str, url: str, local: str) -> Iterator[None]:
    """Attack ``url`` from ``local`` meanwhile."""
    command = [sys.executable, "-m", "tests.reliability.attack", kind, url, local]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        try:
            yield
        finally:
            process.kill()


def main() -> None:
    kind, url, local = sys.argv[1:]
    parts = urlsplit(url)
    where = ((parts.hostname or "", parts.port or 80), local)
    # In truth it has processors of its own: it must not take those of server and victim here.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    threading.Thread(target=KINDS[kind], args=(where,), daemon=True).start()
    _ = sys.stdout.write("begun\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
