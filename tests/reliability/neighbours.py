"""Machines side by side on one server, and how long one of them waits for its answers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.reliability.guests import Guest
from tests.server.process import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VICTIM, ATTACKER = "127.0.0.2", "127.0.0.3"
LARGE = 2 << 20

# What cloud-init asks for first, each on a connection of its own.
BOOT = (
    "/openstack",
    "/openstack/latest/meta_data.json",
    "/openstack/latest/network_data.json",
    "/openstack/latest/vendor_data.json",
    "/latest/meta-data/",
    "/latest/meta-data/instance-id",
    "/latest/meta-data/hostname",
    "/latest/meta-data/local-hostname",
)
# Between two of them a client computes something.
_PAUSE = 0.005

VM = """\
name: vm-{number}
peer: {{addresses: [127.0.0.{number}]}}
dialects: {{ec2: {{tokens: optional}}, gce: {{}}, openstack: {{}}}}
interfaces: [{{mac: "52:54:00:00:00:{number:02x}", addresses: [dhcp4]}}]
user_data: {{file: large}}
vendor_data: "#cloud-config"
"""


@contextmanager
def neighbours(folder: Path, machines: int = 3) -> Iterator[Serving]:
    """Serve ``machines``, from 127.0.0.1 on."""
    (folder / "vms").mkdir()
    (folder / "vms/large").write_bytes(b"x" * LARGE)
    for number in range(1, machines + 1):
        (folder / f"vms/{number}.yaml").write_text(VM.format(number=number))
    with Serving(folder, str(folder / "vms")) as server:
        yield server


def boots(url: str, seconds: float) -> list[float]:
    """Boot as the victim again and again; give the milliseconds that each answer took, sorted."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in BOOT:
            begun = time.perf_counter()
            with Guest(url, VICTIM) as guest:
                assert guest.ask(path).status == 200
            took.append((time.perf_counter() - begun) * 1e3)
            time.sleep(_PAUSE)
    return sorted(took)


def at(times: list[float], part: float) -> float:
    """Give the time within which that part of all was answered."""
    return times[min(len(times) - 1, int(len(times) * part))]
