"""Memory and cost of a request by the number of machines: ``python -m bench.scale``.

Machines are made in memory and told apart by the address they ask from; each is rendered when it
is first asked for. Each size has a process of its own, which measures itself and then serves its
machines on TCP, where a sample is asked from loopback addresses of their own (127/8 has enough).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from tornado.httputil import HTTPHeaders

from bench.measure import Address, Client, Failure, Server, free_address, spread, started, table
from emulator.core.message import Request
from emulator.core.policy import Refusal
from emulator.dialects import VOCABULARY
from emulator.model.config import Limits
from emulator.model.derive import complete
from emulator.model.instance import Content, Instance, Peer, PublicKey, Token
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates
from emulator.render.sealed import unsigned
from emulator.runtime.session_key import SessionKey
from emulator.runtime.sockets import Endpoint
from emulator.runtime.state import State
from emulator.server.backing import backing
from emulator.server.delegate import Front
from emulator.server.fleet import Fleet
from emulator.server.hub import Hub
from emulator.server.listeners import Listener
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from emulator.tokens import Tokens

PATH = "/openstack/latest/vendor_data2.json"
SAMPLE = 200
BATCHES = 15


class Own(msgspec.Struct):
    """What a process measured of itself: MiB, KiB, milliseconds, microseconds."""

    memory: float
    each: float
    rendered: float
    first: list[float]
    again: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description="memory and cost by number of machines")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 100_000])
    parser.add_argument("--count", type=int, default=200, help="requests in a measurement")
    parser.add_argument("--serve", nargs=3, metavar=("SIZE", "PORT", "FILE"))
    options = parser.parse_args()
    if options.serve:
        size, port, file = options.serve
        with tempfile.TemporaryDirectory() as folder:
            fleet, own = _measured(int(size), folder)
            Path(file).write_bytes(msgspec.json.encode(own))
            asyncio.run(_serve(fleet, int(port)))
    else:
        _show(options.sizes, options.count)


def _show(sizes: Sequence[int], count: int) -> None:
    head = ("machines", "RSS MiB", "KiB each", "+ rendered", "first ask, ms", "find + decide, us")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rows = [_row(stack, Path(folder), size, count) for size in sizes]
    table((*head, "CPU us/request, TCP"), *rows)


def _row(stack: ExitStack, folder: Path, size: int, count: int) -> tuple[str, ...]:
    address, file = free_address(), folder / str(size)
    arguments = ["--serve", str(size), str(address[1]), str(file)]
    command = [sys.executable, "-m", "bench.scale", *arguments]
    server = stack.enter_context(started(command, address))
    server.wait()
    own = msgspec.json.decode(file.read_bytes(), type=Own)
    few = size < SAMPLE
    return (
        f"{size:,}",
        f"{own.memory:.1f}",
        "" if few else f"{own.each:.2f}",
        "" if few else f"{own.rendered:.1f}",
        spread(own.first, 2),
        spread(own.again, 2),
        spread(_over_tcp(server, size, count)),
    )


def _over_tcp(server: Server, size: int, count: int) -> list[float]:
    """Ask as a sample of the machines; give CPU microseconds a request, by batch."""
    client = Client(server.address, PATH)
    sources: list[Address] = [(_peer(number), 0) for number in _sample(size)]
    found = []
    for batch in range(-1, BATCHES):
        before = server.cpu()
        for number in range(count):
            client.once(sources[number % len(sources)])
        if batch >= 0:  # the one before warms up
            found.append((server.cpu() - before) / count * 1e6)
    return found


def _sample(size: int) -> range:
    """Give the numbers of machines from all over the fleet."""
    return range(0, size, max(1, size // SAMPLE))


def _peer(number: int) -> str:
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


async def _serve(fleet: Fleet, port: int) -> None:
    front = Front(Hub(fleet, SYSTEM, ()), "")
    Listener(Endpoint(host="127.0.0.1", port=port), front, Limits())
    await asyncio.Event().wait()


def _measured(size: int, folder: str) -> tuple[Fleet, Own]:
    state = State(folder)
    tokens = Tokens(SYSTEM, state)
    key = SessionKey(SYSTEM, state)
    renderer = Renderer(Templates(), SYSTEM)
    shared = backing(SYSTEM, state, tokens, renderer, key, seal=unsigned)
    # What all machines share is there before the first of them counts.
    _ = Machine(_instance(size), shared).snapshot
    before = _memory()
    machines = [Machine(_instance(number), shared) for number in range(size)]
    fleet = Fleet(machines, sole=False, proxies=Proxies(frozenset(), b""))
    held = _memory()
    first = [_timed(fleet, number) * 1e3 for number in _sample(size)]
    rendered = _memory()
    again = [min(_timed(fleet, number) for _ in range(9)) * 1e6 for number in _sample(size)]
    each = (held - before) / size * 1024
    return fleet, Own(rendered, each, (rendered - held) / len(first) * 1024, first, again)


def _instance(number: int) -> Instance:
    """Give a machine that shares nothing with others but what the model itself shares."""
    key = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:043d} ops@{number}"
    return complete(
        Instance(
            name=f"web-{number}",
            peer=Peer(addresses=(_peer(number),)),
            public_keys=(PublicKey(name="ops", key=key),),
            tokens=(Token(file=f"/var/run/tokens/{number}"),),
            user_data=Content(data=f"#cloud-config\nruncmd: [echo {number}]\n".encode()),
            dialects={name: VOCABULARY.policies[name]() for name in VOCABULARY.default},
        )
    )


def _timed(fleet: Fleet, number: int) -> float:
    """Give the CPU seconds from a peer's address to the answer that it gets."""
    headers = HTTPHeaders()
    peer = _peer(number)
    before = time.process_time()
    found = fleet.find("", peer, headers)
    if isinstance(found, Refusal):
        raise Failure(found)
    decision = found[0].asked().decide(Request("GET", PATH, "", headers, b"", peer), found[0])
    spent = time.process_time() - before
    if decision.refusal is not None:
        raise Failure(decision.refusal)
    return spent


def _memory() -> float:
    """Give the resident set of this process, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


if __name__ == "__main__":
    main()
