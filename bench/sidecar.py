"""What a VM's sidecar takes, to the guest's first answer: ``python -m bench.sidecar``.

The wheel, as the container image has it, in the tests' imitation of a launcher pod. Root is
needed, or user namespaces.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.footprint import installed_wheel
from bench.measure import spread, table
from tests.support.launcher import Launcher, Masquerade
from tests.support.sidecar import Sidecar, volumes

# Asks until it is answered, and says when that was, by a clock that all processes share.
ASK = """\
import socket, time
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        with socket.create_connection(("169.254.169.254", 80), 5) as asked:
            asked.sendall(b"GET /openstack HTTP/1.0\\r\\n\\r\\n")
            if asked.recv(4096).startswith(b"HTTP/1.1 200"):
                break
    except OSError:
        time.sleep(0.001)
print(time.monotonic())
"""
SETTLE = 1.0
VMS = 1000
SHARE = 0.1  # of a processor: the chart's default


class _Sample(NamedTuple):
    """Seconds, CPU seconds and MiB: while it waits, and when it has answered."""

    ready: float
    waiting_cpu: float
    waiting: float
    answered: float
    cpu: float
    serving: float


def main() -> None:
    parser = argparse.ArgumentParser(description="what a VM's sidecar takes")
    parser.add_argument("--rounds", type=int, default=11, help="starts of it")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="imds-"))
    folder.chmod(0o755)  # the server is another user
    try:
        program = installed_wheel(folder, "pyroute2") / "imds-emulator"
        found = [_round(program, folder / str(n)) for n in range(options.rounds + 1)][1:]
    finally:
        shutil.rmtree(folder)
    _show(found)


def _round(program: Path, folder: Path) -> _Sample:
    folder.mkdir()
    volumes(folder, {"imds.kubevirt.io/enabled": "true"})
    with Launcher(Masquerade()) as launcher:
        began = time.monotonic()
        sidecar = Sidecar(launcher.pod, folder, ("--audit=off",), program=program)
        return _measured(launcher, sidecar, began)


def _measured(launcher: Launcher, sidecar: Sidecar, began: float) -> _Sample:
    with sidecar:
        sidecar.waiting()
        ready = time.monotonic() - began
        time.sleep(SETTLE / 5)
        pid = sidecar.pid
        waiting_cpu, waiting = _cpu(pid), _memory(pid)
        launcher.hand_over()
        plugged = time.monotonic()
        guest = launcher.boot()
        answered = float(guest.run(sys.executable, "-I", "-S", "-c", ASK)) - plugged
        time.sleep(SETTLE)
        return _Sample(ready, waiting_cpu, waiting, answered, _cpu(pid), _memory(pid))


def _cpu(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)


def _memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _show(found: Sequence[_Sample]) -> None:
    def told(field: str, digits: int = 0, scale: float = 1) -> str:
        return spread([getattr(one, field) * scale for one in found], digits)

    table(
        ("a sidecar", "wall ms", "CPU ms since its start", "RSS MiB"),
        ("start to waiting", told("ready", 0, 1000), told("waiting_cpu", 0, 1000),
         told("waiting", 1)),
        ("tap to first answer", told("answered", 0, 1000), told("cpu", 0, 1000),
         told("serving", 1)),
    )  # fmt: skip
    memory, cpu = (median(getattr(one, name) for one in found) for name in ("serving", "cpu"))
    waiting = median(one.waiting_cpu for one in found)
    print()
    print(f"{VMS} VMs: {memory * VMS / 1024:.1f} GiB resident, {cpu * VMS:.0f} CPU s to start")
    limited = f"{waiting / SHARE:.1f} s to waiting, then {(cpu - waiting) / SHARE:.1f} s"
    print(f"limited to {SHARE} CPU: {limited}")


if __name__ == "__main__":
    main()
