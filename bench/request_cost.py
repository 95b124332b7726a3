"""What one GET of a prebuilt document costs: ``python -m bench.request_cost``.

Beside it, in the same run, the same number of bytes from a bare Tornado connection delegate that
returns a constant, and through a plain ``tornado.web`` request handler.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.measure import (
    ROOT,
    Client,
    Server,
    free_address,
    ratio,
    reference_command,
    request_cost,
    serve_command,
    spread,
    started,
    table,
    turns,
)

DOCUMENT = "/openstack/latest/network_data.json"
BARE, HANDLER = "bare delegate", "tornado.web handler"
UNSEEN, OURS, LOGGED = "ours, unobserved", "ours, metrics", "ours, metrics and audit"


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of one GET, beside plain Tornado's")
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each")
    parser.add_argument("--count", type=int, default=400, help="requests in a measurement")
    parser.add_argument("--path", default=DOCUMENT, help="document to ask for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = options.path
        servers = _servers(stack, Path(folder), path)
        for mode in ("keep_alive", "new_connections"):
            contenders = {
                name: request_cost(server, Client(server.address, path), mode, options.count)
                for name, server in servers.items()
            }
            _show(mode, turns(contenders, options.rounds))


def _servers(stack: ExitStack, folder: Path, path: str) -> dict[str, Server]:
    instance = ROOT / "fixtures/instances/complete.yaml"
    servers = {}
    for name, log in ((UNSEEN, "off"), (OURS, "off"), (LOGGED, str(folder / "audit.jsonl"))):
        address = free_address()
        operator = "off" if name == UNSEEN else "127.0.0.1:0"
        command = serve_command(instance, folder / "state", address, log, operator=operator)
        servers[name] = stack.enter_context(started(command, address))
    servers[OURS].wait()
    size = len(Client(servers[OURS].address, path).once())
    print(f"GET {path}, {size} bytes of body\n")
    for name, kind in ((BARE, "bare"), (HANDLER, "handler")):
        address = free_address()
        command = reference_command(kind, address, size)
        servers[name] = stack.enter_context(started(command, address))
    for server in servers.values():
        server.wait()
        server.settle()
    return {name: servers[name] for name in (BARE, HANDLER, UNSEEN, OURS, LOGGED)}


def _show(mode: str, found: dict[str, list[float]]) -> None:
    rows = [
        (
            name,
            spread(values),
            spread(ratio(values, found[BARE]), 2),
            spread(ratio(values, found[HANDLER]), 2),
            spread(ratio(values, found[UNSEEN]), 2),
        )
        for name, values in found.items()
    ]
    table((mode.replace("_", " "), "CPU us/request", "x bare", "x handler", "x unobserved"), *rows)


if __name__ == "__main__":
    main()
