"""What metrics cost beside the request: memory, and what guests wait while Prometheus scrapes.

``python -m bench.scrape``: a server with many machines, all of which have asked something, is
scraped much oftener than anybody does. One of them asks on, on one connection. Beside it the same
with the operator's listener off, where nothing is counted.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.measure import (
    Address,
    Client,
    body_of,
    free_address,
    serve_command,
    started,
    table,
)
from emulator.observe.catalogue import State, series
from emulator.observe.exposition import pieces
from emulator.observe.metrics import Metrics
from emulator.observe.observation import Observation

PATH = "/openstack/latest/vendor_data2.json"
MISSING = "GET /latest/no-such HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

# Seconds between two scrapes; Prometheus asks once in fifteen or more.
_PAUSE = 0.25

_SCRAPER = """\
import sys, time, urllib.request
while True:
    urllib.request.urlopen(f"http://{sys.argv[1]}/metrics").read()
    time.sleep(float(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="cost of being scraped")
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of asking, each time")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.machines):
            text = f"name: web-{number}\npeer: {{addresses: [{_peer(number)}]}}\n"
            (Path(folder) / f"{number}.yaml").write_text(text)
        for metrics in (False, True):
            rows += _rows(Path(folder), options.machines, options.seconds, metrics=metrics)
    head = ("", "own MiB", "requests", "median us", "99 % us", "99.9 % us", "longest ms")
    table(head, *rows)
    turns = _turns(options.machines)
    cells = (f"{sum(turns):.1f}", str(len(turns)), f"{max(turns):.2f}")
    table(("a scrape's text", "CPU ms", "turns", "longest ms"), ("", *cells))


def _rows(
    folder: Path, machines: int, seconds: float, *, metrics: bool
) -> Iterator[tuple[str, ...]]:
    address, operator = free_address(), free_address()
    where = f"{operator[0]}:{operator[1]}" if metrics else "off"
    state = folder.with_suffix(".state")
    with started(serve_command(folder, state, address, operator=where), address) as server:
        server.wait()
        for number in range(machines):
            _ask_as(_peer(number), address)
        server.settle()
        name = "metrics" if metrics else "no metrics"
        yield (name, f"{server.own():.1f}", *_waits(address, seconds))
        if metrics:
            _ = server.peak()
            before = server.peak()
            with _scraped(where):
                waits = _waits(address, seconds)
            above = server.peak() - before
            server.settle()
            name = f"scraped every {_PAUSE:g} s, peak {above:+.1f} MiB"
            yield (name, f"{server.own():.1f}", *waits)


def _turns(machines: int) -> list[float]:
    """Give what each turn of writing takes of the processor, ms."""
    names = [("bench", f"web-{number}") for number in range(machines)]
    metrics = Metrics(most_vms=machines)
    for namespace, name in names:
        for status, reason in ((200, ""), (404, "not-found"), (401, "session-missing")):
            metrics(_seen(namespace, name, status, reason))
    state = State(
        version="",
        ready=True,
        vms=names,
        reloads=0,
        failed_reloads=0,
        reload_successful=True,
        reloaded=0.0,
        waiting=0,
        connections=0,
        limit_hits={},
        vm_limit_hits={},
        malformed={},
        audited={},
    )
    found = []
    written = pieces(series(metrics, state))
    while True:
        before = time.thread_time()
        if next(written, None) is None:
            break
        found.append((time.thread_time() - before) * 1e3)
    return found


def _seen(namespace: str, vm: str, status: int, reason: str) -> Observation:
    return Observation(
        time=0.0,
        vm=vm,
        dialect="ec2",
        area="ec2",
        method="GET",
        path="/latest",
        status=status,
        reason=reason,
        bytes=0,
        duration_us=100,
        user_agent="",
        peer="",
        namespace=namespace,
        session="absent",
    )


def _peer(number: int) -> str:
    return f"127.1.{number >> 8}.{number & 255}"


def _ask_as(peer: str, address: Address) -> None:
    """Ask for what there is and for what there is not."""
    Client(address, PATH).once((peer, 0))
    with socket.create_connection(address, 60, (peer, 0)) as stream:
        stream.sendall(MISSING.encode())
        stream.recv(65536)


@contextmanager
def _scraped(where: str) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _SCRAPER, where, str(_PAUSE)]) as scraper:
        try:
            yield
        finally:
            scraper.terminate()


def _waits(address: Address, seconds: float) -> tuple[str, ...]:
    """Ask without a pause; say what was waited."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    found = []
    end = time.monotonic() + seconds
    with socket.create_connection(address, 60, (_peer(0), 0)) as stream:
        while (before := time.monotonic()) < end:
            stream.sendall(request)
            body_of(stream)
            found.append((time.monotonic() - before) * 1e6)
    found.sort()
    count = len(found)
    high = (found[int(count * part)] for part in (0.99, 0.999))
    return (
        f"{count:,}",
        *(f"{value:,.0f}" for value in (median(found), *high)),
        f"{found[-1] / 1000:.1f}",
    )


if __name__ == "__main__":
    main()
