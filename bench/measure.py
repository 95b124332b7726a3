"""What the benchmarks share: processes whose CPU time and memory are read, turns, small tables.

CPU time is what the kernel charged to the process, user and system together: unlike wall time it
hardly moves with what else the machine does. Contenders take turns in short rounds, so that what
does move it (caches, clock, neighbours) meets all of them.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from tests.support.process import UNLIMITED

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0

OURS = (sys.executable, "-m", "emulator")
"""This checkout's ``imds-emulator``."""

# What cloud-init sends with each request.
HEADERS = (
    "User-Agent: Cloud-Init/24.4\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
    "Connection: keep-alive\r\n"
)

_POLL = 0.002
_STILL = 0.5
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)

Address = tuple[str, int]


class Failure(Exception):
    """Something that is measured did not do what it was started for."""


class Server:
    """A running server process, and what it has cost so far."""

    def __init__(self, child: subprocess.Popen[bytes], address: Address) -> None:
        self._child = child
        self.address = address

    def cpu(self) -> float:
        """Give the CPU seconds of all its threads (the clock of clock_getcpuclockid(3)).

        A thread that runs is charged at the next tick of the kernel only (4 ms), one that sleeps
        has been charged to the nanosecond: so this waits until the server has nothing to do.
        """
        while self._runs():
            time.sleep(_POLL)
        return time.clock_gettime((~self._child.pid << 3) | 2)

    def _runs(self) -> bool:
        stat = Path(f"/proc/{self._child.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "R"

    def memory(self) -> float:
        """Give its resident set, MiB."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def own(self) -> float:
        """Give the memory that is in no file, MiB."""
        rollup = Path(f"/proc/{self._child.pid}/smaps_rollup").read_text()
        return int(rollup.split("Anonymous:")[1].split()[0]) / 1024

    def peak(self) -> float:
        """Give the most that its resident set has been since this was last asked, MiB."""
        folder = Path(f"/proc/{self._child.pid}")
        most = int((folder / "status").read_text().split("VmHWM:")[1].split()[0]) / 1024
        (folder / "clear_refs").write_text("5")
        return most

    def settle(self) -> None:
        """Return once it has done what it does after it began to listen (an issuer's key)."""
        before = self.cpu()
        while True:
            time.sleep(_STILL)
            now = self.cpu()
            if now - before < _STILL / 50:
                return
            before = now

    def wait(self) -> None:
        """Return once it accepts connections."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(self.address) == 0:
                    return
            time.sleep(_POLL)
        state = f"exit code {self._child.returncode}"
        raise Failure(f"{self._child.args!r} does not listen on {self.address} ({state})")


@contextmanager
def started(
    command: Sequence[str], address: Address, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run ``command``, which will listen on ``address``, until the context ends."""
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Server(child, address)
    finally:
        child.terminate()
        child.wait(PATIENCE)


def free_address() -> Address:
    """Give an address on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return host, port


def serve_command(  # noqa: PLR0913 (what is varied)
    instance: Path,
    state: Path,
    address: Address,
    log: str = "off",
    program: Sequence[str] = OURS,
    *,
    operator: str = "127.0.0.1:0",
    limits: Sequence[str] = UNLIMITED,
) -> list[str]:
    """Give the command with which ``program`` serves ``instance`` on ``address``.

    With the ``operator`` off nothing is counted.
    """
    listen = f"{address[0]}:{address[1]}"
    options = ["--state", str(state), "--listen", listen, "--operator", operator]
    return [*program, "serve", str(instance), *options, *limits, "--audit", log]


def reference_command(kind: str, address: Address, size: int) -> list[str]:
    """Give the command that runs a server of ``bench/reference.py``."""
    return [sys.executable, "-m", "bench.reference", kind, str(address[1]), str(size)]


class Client:
    """Asks a server, on one connection or on a new one each time."""

    def __init__(
        self, address: Address, path: str, method: str = "GET", headers: str = HEADERS
    ) -> None:
        self._address = address
        line = f"{method} {path} HTTP/1.1\r\nHost: {address[0]}\r\n"
        self._request = f"{line}{headers}\r\n".encode()

    def keep_alive(self, count: int) -> None:
        """Ask ``count`` times on one connection."""
        with socket.create_connection(self._address, PATIENCE) as stream:
            for _ in range(count):
                stream.sendall(self._request)
                body_of(stream)

    def new_connections(self, count: int) -> None:
        """Ask ``count`` times, each on a connection of its own, as guests do."""
        for _ in range(count):
            self.once()

    def once(self, source: Address | None = None) -> bytes:
        """Ask once, from ``source``; give the body."""
        with socket.create_connection(self._address, PATIENCE, source) as stream:
            stream.sendall(self._request)
            return body_of(stream)


def body_of(stream: socket.socket) -> bytes:
    """Read one answer; raise ``Failure`` unless it is a 200 with a length."""
    data = stream.recv(65536)
    while b"\r\n\r\n" not in data:
        data += _more(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None or not head.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"unexpected answer: {head.decode('latin-1')}")
    while len(body) < int(length[1]):
        body += _more(stream)
    return body


def _more(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    if not data:
        raise Failure("the answer ends too early")
    return data


def request_cost(server: Server, client: Client, mode: str, count: int) -> Callable[[], float]:
    """Give a function that measures the server's CPU microseconds for one request.

    ``mode`` is how ``client`` asks: ``keep_alive`` or ``new_connections``.
    """
    ask: Callable[[int], None] = getattr(client, mode)

    def measure() -> float:
        before = server.cpu()
        ask(count)
        return (server.cpu() - before) / count * 1e6

    return measure


def turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Let each contender take one measurement a round, in changing order; give all of them."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-warm_up, rounds):
        order = list(contenders)
        for name in order if number % 2 else reversed(order):
            value = contenders[name]()
            if number >= 0:
                found[name].append(value)
    return found


def ratio(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Divide what was measured in the same round."""
    return [one / other for one, other in zip(over, under, strict=True)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Give the median, with the quartiles around it."""
    low, _, high = (
        quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    )
    return f"{median(values):,.{digits}f} [{low:,.{digits}f}-{high:,.{digits}f}]"


def table(*rows: Sequence[str]) -> None:
    """Print ``rows``, the first of which names the columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first, *rest]).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print(flush=True)
