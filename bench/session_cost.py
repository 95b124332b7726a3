"""What session tokens cost: ``python -m bench.session_cost``.

The same document of EC2's tree is asked for without a token and with one, of one server that takes
both; beside it the token itself, which always takes a connection of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.measure import (
    HEADERS,
    Client,
    Server,
    free_address,
    ratio,
    request_cost,
    serve_command,
    spread,
    started,
    table,
    turns,
)

DOCUMENT = "/latest/meta-data/instance-id"
ENDPOINT = "/latest/api/token"
LIFETIME = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"
PLAIN, CHECKED, PUT = "GET without token", "GET, token checked", "PUT for a token"


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of a GET with and without a token")
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each")
    parser.add_argument("--count", type=int, default=400, help="requests in a measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(_served(Path(folder)))
        clients = _clients(server)
        for mode in ("keep_alive", "new_connections"):
            contenders = {
                name: request_cost(server, client, mode, options.count)
                for name, client in clients.items()
                if name != PUT or mode == "new_connections"
            }
            _show(mode, turns(contenders, options.rounds))


def _served(folder: Path) -> AbstractContextManager[Server]:
    """Serve one machine."""
    description = folder / "vm.yaml"
    description.write_text("name: vm\ndialects: {ec2: {tokens: optional}}\n")
    address = free_address()
    return started(serve_command(description, folder / "state", address), address)


def _clients(server: Server) -> dict[str, Client]:
    server.wait()
    server.settle()
    put = Client(server.address, ENDPOINT, "PUT", HEADERS + LIFETIME)
    header = f"{HEADERS}X-aws-ec2-metadata-token: {put.once().decode()}\r\n"
    return {
        PLAIN: Client(server.address, DOCUMENT),
        CHECKED: Client(server.address, DOCUMENT, headers=header),
        PUT: put,
    }


def _show(mode: str, found: dict[str, list[float]]) -> None:
    rows = [
        (name, spread(values), spread(ratio(values, found[PLAIN]), 2))
        for name, values in found.items()
    ]
    table((mode.replace("_", " "), "CPU us/request", "x GET without token"), *rows)


if __name__ == "__main__":
    main()
