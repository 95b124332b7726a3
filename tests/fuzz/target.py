"""A server of its own process to be attacked, and the judge of what it answers."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.hostile import DESCRIPTION
from tests.support.process import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60
"""Seconds after which a connection that should have ended is a finding."""

NORMAL = (
    b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n"
)
_HEAD = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [^\r\n]*\r\n((?:[^\r\n:]+:[^\r\n]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"^content-length: *([0-9]+)\r$", re.IGNORECASE | re.MULTILINE)
_BUSY = 503
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER: on, 0 seconds


class Finding(AssertionError):
    """Something that the server must not do."""


class Target:
    """A running server: its listeners by name, its log, its memory."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, ports: dict[str, int]) -> None:
        """Attack ``process``, which logs to ``log``, at ``ports`` of the loopback address."""
        self._process = process
        self._log = log
        self._ports = ports
        self.statuses: Counter[int] = Counter()
        self._usual = self.exchange(NORMAL)
        self._said = log.read_text()

    @property
    def listeners(self) -> tuple[str, ...]:
        """The names of its listeners."""
        return tuple(self._ports)

    def exchange(self, data: bytes, listener: str = "guest", cut: int = 0) -> bytes:
        """Send ``data``, in two parts if ``cut``, and no more; give all that comes back."""
        where = ("127.0.0.1", self._ports[listener])
        with socket.create_connection(where, PATIENCE) as connection:
            # Reset in the end: a hundred thousand closed connections would take all ports.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            # It may be refused before it was read to its end.
            with suppress(OSError):
                for part in (data[:cut], data[cut:]):
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
            return _everything(connection)

    def attack(self, data: bytes, listener: str = "guest", cut: int = 0) -> list[int]:
        """Send ``data``; give the statuses that come back, or raise ``Finding``."""
        statuses = judged(self.exchange(data, listener, cut))
        self.statuses.update(statuses)
        return statuses

    def abandon(self, data: bytes, listener: str = "guest") -> None:
        """Send ``data``, and hang up before anything comes back."""
        with socket.create_connection(
            ("127.0.0.1", self._ports[listener]), PATIENCE
        ) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                connection.sendall(data)

    def check(self) -> None:
        """Raise ``Finding`` unless it lives, has said nothing, and answers as it used to."""
        if self._process.poll() is not None:
            raise Finding(f"the server ended with {self._process.returncode}")
        said = self._log.read_text().removeprefix(self._said)
        if said:
            raise Finding(f"the server's log: {said[:4000]}")
        answer = _undated(self.exchange(NORMAL))
        if answer != _undated(self._usual):
            raise Finding(f"a normal request is answered {answer!r}")

    def stop(self) -> None:
        """End it."""
        _end(self._process)

    def memory(self) -> float:
        """Give its resident set, MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _everything(connection: socket.socket) -> bytes:
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except TimeoutError:
        raise Finding("the connection does not end") from None
    except ConnectionResetError:
        pass
    return data


def _undated(answer: bytes) -> bytes:
    # It is rendered anew when the guest has written something.
    return re.sub(rb"(Date|Last-Modified): [^\r]*", b"", answer)


def judged(data: bytes) -> list[int]:
    """Give the statuses of the answers that ``data`` is made of; raise ``Finding`` if it is not.

    No answer is a server's error, but for a 503 that says when to come back.
    """
    statuses = []
    at = 0
    while at < len(data):
        head = _HEAD.match(data, at)
        if head is None:
            raise Finding(f"this is no answer: {data[at : at + 200]!r}")
        status = int(head[1])
        statuses.append(status)
        if status >= 500 and not (status == _BUSY and b"Retry-After:" in head[2]):
            raise Finding(f"a server's error: {data[at : at + 400]!r}")
        length = _LENGTH.search(head[2])
        end = head.end() + (int(length[1]) if length else 0)
        if length is None and status >= 200 and end < len(data):
            raise Finding(f"an answer behind one that ends the connection: {data[at:][:400]!r}")
        # The answer to a HEAD has the length of what it leaves out.
        whole = end == len(data) or data.startswith(b"HTTP/1.1 ", end)
        at = end if whole and end <= len(data) else head.end()
    return statuses


@contextmanager
def attacked(folder: Path) -> Iterator[Target]:
    """Serve a machine with every dialect, with all its listeners on TCP, and its log in a file."""
    (folder / "vm.yaml").write_text(DESCRIPTION)
    log = folder / "log"
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
            for name in ("guest", "wireserver", "operator")
        }
        fd = {name: f"fd:{sock.fileno()}" for name, sock in sockets.items()}
        command = [sys.executable, "-m", "emulator", "serve", str(folder / "vm.yaml")]
        command += ["--listen", fd["guest"], "--operator", fd["operator"]]
        command += ["--door", f"wireserver={fd['wireserver']}"]
        command += UNLIMITED
        # What is logged for each request is made, and thrown away.
        command += ["--state", str(folder / "state"), "--audit", "/dev/null"]
        descriptors = tuple(sock.fileno() for sock in sockets.values())
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, pass_fds=descriptors, stderr=output)
        stack.callback(_end, process)
        ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
        yield Target(process, log, ports)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    _ = process.wait(PATIENCE)
