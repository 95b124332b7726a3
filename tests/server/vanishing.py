"""Serves a guest that waits for a change and whose link is then taken away; prints what is left.

Started by ``test_vanishing`` in a network namespace of its own; its argument is a scratch folder.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from emulator.model.config import Limits
from emulator.runtime.sockets import Endpoint
from emulator.server.delegate import Front
from emulator.server.fleet import Fleet
from emulator.server.hub import Hub
from emulator.server.listeners import Listener
from emulator.server.proxy import Proxies
from tests.server.hops import Node, ip
from tests.server.support import Bench

ADDRESS = "10.0.0.1"
PATIENCE = 30
WAIT = "/computeMetadata/v1/instance/?recursive=true&wait_for_change=true"
CLIENT = f"""\
import socket, time
end = time.monotonic() + {PATIENCE}
while True:
    try:
        guest = socket.create_connection(("{ADDRESS}", 8000))
        break
    except ConnectionRefusedError:
        if time.monotonic() > end:
            raise
        time.sleep(0.05)
guest.sendall(b"GET {WAIT} HTTP/1.1\\r\\nHost: metadata\\r\\nMetadata-Flavor: Google\\r\\n\\r\\n")
time.sleep(600)
"""


def main() -> None:
    guest = Node()
    ip("link set lo up")
    ip(f"link add s0 type veth peer name e0 netns {guest.pid}")
    ip(f"address add {ADDRESS}/24 dev s0")
    ip("link set s0 up")
    guest.ip("address add 10.0.0.2/24 dev e0")
    guest.ip("link set e0 up")
    inside = ["nsenter", "--target", guest.pid, "--net", sys.executable, "-c", CLIENT]
    # It knocks until there is a server.
    client = subprocess.Popen(inside)
    try:
        result = asyncio.run(served(Path(sys.argv[1])))
        print(json.dumps(result))  # noqa: T201  its result
    finally:
        client.kill()
        client.wait()
        guest.close()


async def served(folder: Path) -> dict[str, object]:
    bench = Bench(folder)
    machine = bench.machine("name: web-1\ndialects: [gce]\n")
    fleet = Fleet([machine], sole=True, proxies=Proxies(frozenset(), b""))
    hub = Hub(fleet, bench.backing.ports, ())
    front = Front(hub, "")
    listener = Listener(
        Endpoint(host=ADDRESS, port=8000), front, Limits(idle_seconds=2), places=front.places
    )
    try:
        waited = await until(lambda: machine.waiters == 1)
        # As when a virtual machine is switched off: nobody says goodbye.
        ip("link del s0")
        gone = await until(lambda: machine.waiters == 0)
        return {"waited": waited, "gone": gone, "left": [hub.waiting, front.places.waiting]}
    finally:
        listener.stop()
        await listener.close()


async def until(there: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not there():  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.05)
    return there()


if __name__ == "__main__":
    main()
