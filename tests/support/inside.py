"""Runs the server and one client in a network namespace of their own; started by ``crawl``.

Its argument is a JSON object: ``server`` and ``client`` (commands), ``environment`` of the client,
``hosts`` (a file to have as ``/etc/hosts``, or empty; needs a mount namespace too), ``addresses``
(further ones that this machine has).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

ADDRESS = "169.254.169.254"
PATIENCE = 30


def main() -> int:
    job = json.loads(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (ADDRESS, *job["addresses"]):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    if job["hosts"]:
        subprocess.run(["mount", "--bind", job["hosts"], "/etc/hosts"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/sys"], check=True)
    server = subprocess.Popen(job["server"])
    try:
        wait(server)
        done = subprocess.run(job["client"], env=os.environ | job["environment"], check=False)
        return done.returncode
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


def wait(server: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((ADDRESS, 80), 1):
            return
        time.sleep(0.02)
    message = f"the server does not listen (exit code {server.poll()})"
    raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main())
