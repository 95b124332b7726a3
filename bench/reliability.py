"""What guests notice of faults: ``python -m bench.reliability``.

Real servers are killed and attacked as in ``tests/reliability``, which can only tell that it was
not too bad. Times under attack are taken in turns with quiet ones.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.measure import PATIENCE, free_address, spread, started, table
from emulator.cli.source import open_source
from emulator.model.config import Limits, ServeConfig
from emulator.ports import SYSTEM
from emulator.runtime.sockets import allow_descriptors
from emulator.server.app import Server
from tests.reliability.attack import KINDS, attacked
from tests.reliability.guests import Guest
from tests.reliability.load import DESCRIPTION, LARGE, crowd
from tests.reliability.neighbours import ATTACKER, at, boots, neighbours
from tests.reliability.supervised import Supervised

_GUESTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description="what guests notice of faults")
    parser.add_argument("--kills", type=int, default=20, help="of a server under load (20)")
    parser.add_argument("--idle", type=int, default=10_000, help="connections (default 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="of each attack (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of a round (default 3)")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="have server and victim run before all else, as on processors of their own",
    )
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "FOLDER", "CONNECTIONS"))
    options = parser.parse_args()
    if options.serve:
        port, folder, connections = options.serve
        _serve(int(port), Path(folder), int(connections))
        return
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    _restarts(options.kills)
    _idle(options.idle)
    _attacks(options.rounds, options.seconds)


def _within(measure: Callable[[Path], tuple[str, ...]]) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def _restarts(kills: int) -> None:
    """Kill a server under load, and ask each request that got no answer once more."""
    rows = [
        _within(lambda folder: _restarted(folder, kills, held=True)),
        _within(lambda folder: _restarted(folder, kills, held=False)),
    ]
    head = (
        "killed under load",
        "asked",
        "asked twice",
        "lost",
        "wrong",
        "ms until the next answers",
    )
    table(head, *rows)


def _restarted(folder: Path, kills: int, *, held: bool) -> tuple[str, ...]:
    (folder / "large").write_bytes(b"x" * LARGE)
    (folder / "vm.yaml").write_text(DESCRIPTION)
    pause = 0.0 if held else 1.0
    gaps = []
    with (
        Supervised(folder, str(folder / "vm.yaml"), held=held) as supervised,
        crowd(supervised.url, lambda: time.sleep(pause), _GUESTS) as tally,
    ):
        for _ in range(kills):
            time.sleep(pause + 0.5)
            gaps.append(supervised.restart() * 1e3)
        time.sleep(pause + 0.5)
    counts = tally.counts
    twice = counts["retried"] + counts["torn"]
    name = "sockets held, again at once" if held else "sockets lost, again after 1 s"
    figures = (counts["asked"], twice, counts["lost"], counts["wrong"])
    return name, *(f"{figure:,}" for figure in figures), spread(gaps)


def _idle(connections: int) -> None:
    """Hold many connections that say nothing, and ask meanwhile."""
    table(
        ("connections that idle", "KiB each", "held", "ms of an answer before", "meanwhile"),
        _within(lambda folder: _idled(folder, connections)),
    )


def _idled(folder: Path, connections: int) -> tuple[str, ...]:
    _ = allow_descriptors(connections + 64)
    (folder / "vm.yaml").write_text("name: vm\n")
    address = free_address()
    command = [sys.executable, "-m", "bench.reliability", "--serve", str(address[1])]
    with ExitStack() as stack:
        command += [str(folder), str(connections + 64)]
        server = stack.enter_context(started(command, address))
        server.wait()
        url = f"http://{address[0]}:{address[1]}"
        quiet = _asked(url)
        before = server.memory()
        guests = [
            stack.enter_context(Guest(url, f"127.0.1.{number % 250 + 1}", PATIENCE))
            for number in range(connections)
        ]
        # Each has asked once, so that all that a connection needs is there.
        for guest in guests:
            assert guest.ask("/healthz").status == 200  # noqa: PLR2004, S101
        each = (server.memory() - before) * 1024 / connections
        busy = _asked(url)
        held = sum(guest.ask("/healthz").status == 200 for guest in guests)  # noqa: PLR2004
    return f"{connections:,}", f"{each:.1f}", f"{held:,}", spread(quiet, 2), spread(busy, 2)


def _asked(url: str) -> list[float]:
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        with Guest(url) as guest:
            guest.ask("/latest/meta-data/hostname")
        times.append((time.perf_counter() - begun) * 1e3)
    return times


def _serve(port: int, folder: Path, connections: int) -> None:
    """Serve with room for ``connections``."""
    config = ServeConfig(
        instances=str(folder / "vm.yaml"),
        listen=(f"127.0.0.1:{port}",),
        operator="off",
        state=str(folder / "state"),
        limits=Limits(connections=connections, connections_of_vm=connections, requests_of_vm=0),
    )

    async def serve() -> None:
        server = Server(config, open_source(config.instances, ""), os.environ, SYSTEM)
        await server.run(lambda: None)

    asyncio.run(serve())


def _attacks(rounds: int, seconds: float) -> None:
    """Boot a machine while another attacks, and while none does, in turns."""
    with tempfile.TemporaryDirectory() as folder, neighbours(Path(folder)) as server:
        rows = []
        for kind in KINDS:
            quiet, troubled = [], []
            for _ in range(rounds):
                quiet.append(boots(server.url, seconds))
                with attacked(kind, server.url, ATTACKER):
                    troubled.append(boots(server.url, seconds))
            rows.append((kind, *_compared(quiet, troubled)))
    head = ("attack by", "p50 ms, quiet", "attacked", "p99 ms, quiet", "attacked", "x")
    table(head, *rows)


def _compared(quiet: list[list[float]], troubled: list[list[float]]) -> tuple[str, ...]:
    cells = []
    for part in (0.5, 0.99):
        cells += [spread([at(one, part) for one in found], 2) for found in (quiet, troubled)]
    ends = [median(at(one, 0.99) for one in found) for found in (quiet, troubled)]
    return *cells, f"{ends[1] / ends[0]:.2f}"


if __name__ == "__main__":
    main()
