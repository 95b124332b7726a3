"""QEMU's own user network with the neighbour before it, without a machine: frames in and out."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from emulator.boot import frames
from emulator.boot.machine import network_arguments
from emulator.boot.names import Names
from emulator.boot.neighbour import Manners, Neighbour
from emulator.boot.network import METADATA_ADDRESS, NAME_SERVER, Door, Network, Segment
from emulator.boot.qemu import find_qemu
from tests.boot.packets import GUEST, SERVER_MAC, arp, query, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "metadata.google.internal"
WIRE = "168.63.129.16"
DOORS = (Door(METADATA_ADDRESS, ("/bin/cat",)), Door(WIRE, ("/bin/cat",)))
DISCOVER = frames.write(
    frames.Datagram(
        from_mac=GUEST,
        to_mac=b"\xff" * 6,
        from_address=bytes(4),
        to_address=b"\xff" * 4,
        from_port=68,
        to_port=67,
        data=bytes.fromhex("0101060000000077")
        + bytes(20)
        + GUEST
        + bytes(202)
        + bytes.fromhex("63825363 350101 ff"),
    )
)
LAST = arp(NAME_SERVER, "169.254.100.2")


class Guest:
    """A wire in place of a guest's card."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire

    def ask(self, frame: bytes) -> list[bytes]:
        """Send a frame; give what comes until QEMU has answered another one after it."""
        for sent in (frame, LAST):
            self._wire.sendall(len(sent).to_bytes(4) + sent)
        found: list[bytes] = []
        while not found or found[-1][12:14] != b"\x08\x06" or found[-1][28:32] != LAST[38:42]:
            length = int.from_bytes(self._wire.recv(4, socket.MSG_WAITALL))
            found.append(self._wire.recv(length, socket.MSG_WAITALL))
        return found[:-1]

    def told(self, frame: bytes) -> bytes:
        """Give what the only datagram in answer to ``frame`` carries."""
        (answer,) = map(frames.read, self.ask(frame))
        assert answer is not None
        return answer.data


@contextlib.contextmanager
def guest(*, internet: bool) -> Iterator[Guest]:
    names = Names(frozenset({HOST}), METADATA_ADDRESS, alone=not internet)
    neighbour = Neighbour(Manners(names=names, name_server="" if internet else NAME_SERVER))
    neighbour.start()
    arguments = network_arguments(
        Network(
            segments=(Segment(("52:54:00:00:00:01",)),),
            doors=DOORS,
            neighbour=neighbour.descriptors,
            internet=internet,
        )
    )
    # The card is last; in its place comes a hub of two.
    ours, theirs = socket.socketpair()
    arguments[-2:] = ["-netdev", "hubport,id=a,hubid=9,netdev=guest"]
    arguments += ["-netdev", f"socket,id=wire,fd={theirs.fileno()}"]
    arguments += ["-netdev", "hubport,id=b,hubid=9,netdev=wire"]
    command = [find_qemu().path, "-machine", "none", "-nodefaults", "-display", "none"]
    with ours, theirs, contextlib.closing(neighbour):
        ours.settimeout(60)
        inherited = (*neighbour.descriptors, theirs.fileno())
        with subprocess.Popen([*command, *arguments], pass_fds=inherited) as qemu:
            try:
                yield Guest(ours)
            finally:
                qemu.kill()


@pytest.mark.guest
def test_an_isolated_guest_is_told_of_a_name_server_that_knows_our_names_alone() -> None:
    with guest(internet=False) as asker:
        lease = asker.told(DISCOVER)
        assert bytes.fromhex("0604a9fe0103") in lease
        # 168.0.0.0/7 holds both addresses, and each is somebody's.
        assert bytes.fromhex("0104fe000000") in lease
        for address in (METADATA_ADDRESS, WIRE):
            (answer,) = asker.ask(arp(address, "169.254.100.2"))
            assert answer[28:32] == socket.inet_aton(address)
        known = asker.told(udp(query(HOST), to_mac=SERVER_MAC))
        assert known.endswith(socket.inet_aton(METADATA_ADDRESS))
        assert asker.told(udp(query("localhost")))[3] & 15 == 3


@pytest.mark.guest
def test_a_guest_that_is_let_out_hears_of_our_names_from_us_alone() -> None:
    with guest(internet=True) as asker:
        lease = asker.told(DISCOVER)
        assert lease.count(bytes.fromhex("0604a9fe0103")) == 1
        known = asker.told(udp(query(HOST)))
        assert known.endswith(socket.inet_aton(METADATA_ADDRESS))
