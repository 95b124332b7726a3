"""What waiting guests cost, and how soon they are woken: ``python -m bench.waiting``.

Guests of one machine wait for the same attribute of Google's tree; one of them writes it. Timed is
from before that request is sent until each of the others has its answer, by one client process
which reads them all: for many, a good part of the time is the client's.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.measure import (
    HEADERS,
    ROOT,
    Client,
    Failure,
    Server,
    body_of,
    free_address,
    ratio,
    request_cost,
    serve_command,
    spread,
    started,
    table,
    turns,
)
from emulator import sources
from emulator.dialects import VOCABULARY
from emulator.model.config import Limits
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates
from emulator.render.sealed import unsigned
from emulator.runtime.session_key import SessionKey
from emulator.runtime.sockets import Endpoint, allow_descriptors
from emulator.runtime.state import State
from emulator.server.backing import backing
from emulator.server.delegate import Front
from emulator.server.fleet import Fleet
from emulator.server.hub import Hub
from emulator.server.listeners import Listener
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from emulator.tokens import Tokens

TREE = "/computeMetadata/v1"
ATTRIBUTE = f"{TREE}/instance/guest-attributes/bench/round"
FLAVOR = f"{HEADERS}Metadata-Flavor: Google\r\n"
DESCRIPTION = "name: vm\ndialects: {gce: {guest_attributes: enabled}}\n"
WAIT = f"GET {ATTRIBUTE}?wait_for_change=true HTTP/1.1\r\nHost: metadata\r\n{FLAVOR}\r\n".encode()
# Seconds between two writes, of which a guest may make ten in one.
PACE = 0.2
PATIENCE = 60.0
RECURSIVE, LEAF = "the whole tree, recursive", "a leaf"


def main() -> None:
    parser = argparse.ArgumentParser(description="memory and wake-up of waiting guests")
    parser.add_argument("--waiters", type=int, nargs="+", default=[1, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=9, help="changes that wake them")
    parser.add_argument("--count", type=int, default=400, help="requests in a measurement")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "WAITERS"))
    options = parser.parse_args()
    if options.serve:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_serve(_machine(folder), *map(int, options.serve)))
        return
    allow_descriptors(max(options.waiters) + 64)
    rows = [_row(waiters, options.rounds) for waiters in options.waiters]
    head = ("waiting guests", "KiB each", "of that connection", "first, ms", "median, ms")
    table((*head, "last, ms", "server's CPU us each"), *rows)
    _forms(options.rounds, options.count)


def _row(waiters: int, rounds: int) -> tuple[str, ...]:
    address = free_address()
    command = [sys.executable, "-m", "bench.waiting", "--serve", str(address[1]), str(waiters)]
    with ExitStack() as stack:
        server = stack.enter_context(started(command, address))
        server.wait()
        writer = stack.enter_context(socket.create_connection(address, PATIENCE))
        _write(writer, 0)
        before = server.memory()
        streams = [
            stack.enter_context(socket.create_connection(address, PATIENCE))
            for _ in range(waiters)
        ]
        for stream in streams:  # one answer each, so that all of a connection is there
            stream.sendall(WAIT.replace(b"?wait_for_change=true", b""))
            _ = body_of(stream)
        idle = (server.memory() - before) * 1024 / waiters
        woken, costs, held = [], [], 0.0
        for number in range(1, rounds + 1):
            for stream in streams:
                stream.sendall(WAIT)
            _all_wait(server)
            held = held or (server.memory() - before) * 1024 / waiters
            spent = server.cpu()
            woken.append(_wake(writer, number, streams))
            costs.append((server.cpu() - spent) / waiters * 1e6)
    few = waiters < 100  # noqa: PLR2004  too few to tell from a page
    times = (spread([found[n] for found in woken], 1) for n in range(3))
    memory = ("", "") if few else (f"{held:.1f}", f"{idle:.1f}")
    return (f"{waiters:,}", *memory, *times, spread(costs))


def _all_wait(server: Server) -> None:
    """Return once the server has read all requests: it then has nothing to do."""
    seen = server.cpu()
    while True:
        time.sleep(PACE)
        now = server.cpu()
        if now == seen:
            return
        seen = now


def _wake(
    writer: socket.socket, number: int, streams: Sequence[socket.socket]
) -> tuple[float, float, float]:
    """Write another value; give the milliseconds until the first, half and all have it."""
    times: list[float] = []
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ, stream)
        begun = time.perf_counter()
        _send(writer, number)
        while len(times) < len(streams):
            ready = selector.select(PATIENCE)
            if not ready:
                raise Failure(f"{len(streams) - len(times)} guests were not woken")
            for key, _ in ready:
                body = body_of(key.data)
                if body != str(number).encode():
                    raise Failure(f"a guest was woken with {body!r}")
                times.append((time.perf_counter() - begun) * 1e3)
                selector.unregister(key.fileobj)
    _ = body_of(writer)
    return times[0], median(times), times[-1]


def _write(writer: socket.socket, number: int) -> None:
    _send(writer, number)
    _ = body_of(writer)


def _send(writer: socket.socket, number: int) -> None:
    body = str(number)
    head = f"PUT {ATTRIBUTE} HTTP/1.1\r\nHost: metadata\r\n{FLAVOR}"
    writer.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def _forms(rounds: int, count: int) -> None:
    """Show what the whole tree costs beside a leaf of it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        address = free_address()
        sample = ROOT / "fixtures/instances/sample.yaml"
        server = stack.enter_context(
            started(serve_command(sample, Path(folder), address), address)
        )
        server.wait()
        server.settle()
        clients = {
            LEAF: Client(address, f"{TREE}/instance/id", headers=FLAVOR),
            RECURSIVE: Client(address, f"{TREE}/?recursive=true", headers=FLAVOR),
        }
        sizes = {name: len(client.once()) for name, client in clients.items()}
        found = turns(
            {
                name: request_cost(server, client, "keep_alive", count)
                for name, client in clients.items()
            },
            rounds,
        )
    rows = [
        (name, f"{sizes[name]:,}", spread(found[name]), spread(ratio(found[name], found[LEAF]), 2))
        for name in clients
    ]
    table(("keep alive", "bytes", "CPU us/request", "x leaf"), *rows)


def _machine(folder: str) -> Machine:
    description = Path(folder, "vm.yaml")
    description.write_text(DESCRIPTION)
    [instance] = sources.load(str(description), VOCABULARY)
    state = State(folder)
    tokens, key = Tokens(SYSTEM, state), SessionKey(SYSTEM, state)
    shared = backing(SYSTEM, state, tokens, Renderer(Templates(), SYSTEM), key, seal=unsigned)
    return Machine(instance, shared)


async def _serve(machine: Machine, port: int, waiters: int) -> None:
    """Serve one machine to more connections than a listener takes by itself."""
    most = waiters + 64
    allow_descriptors(2 * most)
    limits = Limits(
        connections=most,
        connections_of_vm=most,
        waiting=most,
        waiting_of_vm=most,
        requests_of_vm=0,
        idle_seconds=600.0,
    )
    fleet = Fleet([machine], sole=True, proxies=Proxies(frozenset(), b""))
    front = Front(Hub(fleet, SYSTEM, (), limits=limits), "")
    Listener(Endpoint(host="127.0.0.1", port=port), front, limits, places=front.places)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
