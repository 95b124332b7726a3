"""Tries every way to our addresses, and tells what has come of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sidecar import frames
from tests.sidecar.wire import Wire
from tests.sidecar.world import CABLE_MAC, OURS

NEIGHBOUR = {4: "10.244.1.1", 6: "fd00:10:244:1::1"}
ARP, IP = b"\x08\x06", b"\x08\x00"


def knocks(source_mac: str, source: dict[int, str], to: list[str]) -> Iterator[bytes]:
    """Ask for our addresses in every way, at each of the hardware addresses ``to``."""
    for address in OURS:
        own = source[6 if ":" in address else 4]
        for mac in to:
            yield from frames.attempts(source_mac, own, address, mac)
            yield from frames.attempts(source_mac, own, address, mac, port=16926)
            if ":" not in address:
                yield frames.arp(source_mac, own, address, mac)
        if ":" in address:
            yield frames.solicit(source_mac, own, address)
            yield from (frames.solicit(source_mac, own, address, mac) for mac in to)


def answers(wire: Wire, kind: bytes) -> list[bytes]:
    """Wait for a frame of the Ethernet type ``kind``; give all that have come until then."""
    came: list[bytes] = []
    for _ in range(10_000):
        came += wire.seen()[0]
        if any(frame[12:14] == kind for frame in came):
            return came
    raise AssertionError(came)


def told(came: list[bytes]) -> list[bytes]:
    """Give the frames that tell of our addresses or of our device."""
    ours = (*map(frames.packed, OURS), frames.mac(CABLE_MAC))
    return [frame for frame in came if any(part in frame for part in ours)]
