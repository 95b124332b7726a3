"""Serves at half of its capacity for long, everything on and moving: ``python -m bench.soak``.

Twenty machines ask by every dialect, rightly and wrongly; some of their requests wait for changes.
Meanwhile tokens are rotated, descriptions changed and at times broken. Capacity is what the same
clients get when they ask as often as they can. A row is printed for each minute. It ends with 1 if
a request failed, if the server said something unexpected, or if its memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression

from bench.measure import ROOT
from tests.reliability import traffic
from tests.server.process import UNLIMITED, Serving

CLIENTS = 2
# Until then the server fills its caches: answers, names, sessions, Python's own free lists.
_WARM = 0.15
_ROTATION, _CHANGE, _BREAK = 0.5, 3, 60  # seconds from one to the next
_SAMPLE = 1.0
# Beginnings of what a server says when descriptions change and break.
_EXPECTED = ("took over a change", "the last good descriptions")


def main() -> None:
    parser = argparse.ArgumentParser(description="a server at half of its capacity, for long")
    parser.add_argument("--minutes", type=float, default=20, help="how long (default 20)")
    parser.add_argument("--row", type=float, default=60, help="seconds in a row (default 60)")
    parser.add_argument("--capacity", type=float, default=20, help="seconds to find it (20)")
    parser.add_argument("--growth", type=float, default=2, help="MiB that it may grow (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="which requests (default 1)")
    parser.add_argument("--client", nargs=3, metavar=("PORT", "RATE", "SEED"))
    options = parser.parse_args()
    if options.client:
        port, rate, seed = options.client
        asyncio.run(traffic.traffic(int(port), float(rate), int(seed), _tell))
        return
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(_soak(Path(folder), options))


def _tell(found: object) -> None:
    print(json.dumps(found), flush=True)


class Clients:
    """Processes that ask, and what they tell."""

    def __init__(self, port: str, rate: float, seed: int) -> None:
        """Ask ``rate`` times a second in all, as often as can be if it is 0."""
        self.lock = threading.Lock()
        self.times: list[float] = []
        self.errors: Counter[str] = Counter()
        self._processes = []
        for number in range(CLIENTS):
            command = [sys.executable, "-m", "bench.soak", "--client", port]
            command += [str(rate / CLIENTS), str(seed * CLIENTS + number)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, args=(process,), daemon=True).start()
            self._processes.append(process)

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            found = json.loads(line)
            with self.lock:
                self.times += found["times"]
                self.errors.update(found["errors"])

    def taken(self) -> list[float]:
        """Give the times since this was last called, sorted."""
        with self.lock:
            times, self.times = self.times, []
        return sorted(times)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def _asking(server: Serving, rate: float, seed: int) -> Iterator[Clients]:
    clients = Clients(server.url.rpartition(":")[2], rate, seed)
    try:
        yield clients
    finally:
        clients.stop()


@contextmanager
def _moving(folder: Path) -> Iterator[None]:
    """Rotate the token, change descriptions, and break one now and then."""
    over = threading.Event()

    def move() -> None:
        begun, number = time.monotonic(), 1
        changed = broken = 0.0
        while not over.wait(_ROTATION):
            number += 1
            traffic.rotate(folder, number)
            now = time.monotonic() - begun
            if now - changed >= _CHANGE:
                changed = now
                traffic.describe(folder, number % traffic.GUESTS + 1, number)
            if now - broken >= _BREAK:
                broken = now
                (folder / "vms/1.yaml").write_text("name: [half")

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Watched:
    """Figures of the server's process, taken every second."""

    def __init__(self, server: Serving) -> None:
        self._server = server
        self._status = Path(f"/proc/{server.process.pid}")
        self.begun = time.monotonic()
        self.memory: list[tuple[float, float]] = []

    def look(self) -> float:
        """Give the MiB that are resident, and remember them."""
        text = (self._status / "status").read_text()
        found = int(text.split("VmRSS:")[1].split()[0]) / 1024
        self.memory.append((time.monotonic() - self.begun, found))
        return found

    def row(self, cpu: float, seconds: float, times: Sequence[float], errors: int) -> str:
        """Print what is true now, beside what happened in the last ``seconds``."""
        count = max(1, len(times))
        at = [times[int(len(times) * part)] * 1e3 if times else 0.0 for part in (0.5, 0.99)]
        descriptors = len(list((self._status / "fd").iterdir()))
        return (
            f"{(time.monotonic() - self.begun) / 60:7.1f}  {self.look():8.1f}  "
            f"{(self._server.cpu() - cpu) / seconds * 100:6.0f}  {descriptors:5}  {count:9,}  "
            f"{count / seconds:8,.0f}  {errors:6}  {at[0]:7.2f}  {at[1]:7.2f}"
        )


def _capacity(server: Serving, seconds: float, seed: int) -> tuple[float, float]:
    """Give the answers in a second when nobody waits to ask, and the server's share of CPUs."""
    with _asking(server, 0, seed) as clients:
        time.sleep(1 + seconds / 4)
        _ = clients.taken()
        cpu, begun = server.cpu(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        return len(clients.taken()) / took, (server.cpu() - cpu) / took


def _soak(folder: Path, options: argparse.Namespace) -> int:
    descriptions = traffic.lay_out(folder)
    with Serving(folder, str(descriptions), *UNLIMITED) as server, _moving(folder):
        capacity, share = _capacity(server, options.capacity, options.seed)
        rate = capacity / 2
        print(f"capacity {capacity:,.0f} requests/s of this mix, {os.cpu_count()} processors, of")
        print(f"which the server had {share:.2f}")
        print(f"now {rate:,.0f}/s for {options.minutes:g} minutes, seed {options.seed}\n")
        heads = ("minutes", "RSS, MiB", "CPU, %", "files", " requests", "a second")
        print("  ".join((*heads, "errors", "p50, ms", "p99, ms")), flush=True)
        watched = Watched(server)
        with _asking(server, rate, options.seed + 1) as clients:
            errors = _rows(server, watched, clients, options)
        said = [line for line in server.lines if _is_unexpected(line)]
        status = server.stop()
    return _verdict(watched, options, errors, said, status)


def _rows(
    server: Serving, watched: Watched, clients: Clients, options: argparse.Namespace
) -> Counter[str]:
    end = watched.begun + options.minutes * 60
    while time.monotonic() < end:
        cpu, begun, before = server.cpu(), time.monotonic(), clients.errors.total()
        while time.monotonic() < min(end, begun + options.row):
            time.sleep(_SAMPLE)
            watched.look()
        errors = clients.errors.total() - before
        print(watched.row(cpu, time.monotonic() - begun, clients.taken(), errors), flush=True)
    return clients.errors


def _is_unexpected(line: str) -> bool:
    if not line.startswith("{"):
        return False
    entry = json.loads(line)
    return "exception" in entry or (
        entry["level"] != "info" and not entry["message"].startswith(_EXPECTED)
    )


def _verdict(
    watched: Watched,
    options: argparse.Namespace,
    errors: Counter[str],
    said: list[str],
    status: int,
) -> int:
    warm = options.minutes * 60 * _WARM
    times, memory = zip(*(one for one in watched.memory if one[0] >= warm), strict=True)
    slope = linear_regression(times, memory).slope
    grown = slope * (times[-1] - times[0])
    print(f"\nmemory after the first {warm / 60:.1f} minutes: {slope * 60 * 1024:+.1f} KiB/minute")
    print(f"that is {grown:+.2f} MiB; errors: {errors.total()}; exit status {status}")
    for text, count in errors.most_common(10):
        print(f"  {count} x {text}")
    for line in said[:10]:
        print(f"  said: {line[:300]}")
    return int(grown > options.growth or bool(errors) or bool(said) or status != 0)


if __name__ == "__main__":
    main()
