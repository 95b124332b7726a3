from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.boot import frames
from emulator.boot.names import Names
from emulator.boot.neighbour import MAC, Manners, Neighbour, arp_reply
from tests.boot.packets import GUEST, SERVER, SERVER_MAC, arp, lease, query, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "metadata.google.internal"
NAMES = Names(frozenset({HOST}), "169.254.169.254", alone=True)
MANNERS = Manners(routers=frozenset({"10.0.0.1"}), names=NAMES, name_server=SERVER)
OFFER = udp(lease("350102 ff"), to_port=68, from_port=67)


class Wire:
    """QEMU's ends of a neighbour that runs."""

    def __init__(self, neighbour: Neighbour) -> None:
        self.neighbour = neighbour
        guest, network = neighbour.descriptors
        self.guest = socket.socket(fileno=os.dup(guest))
        self.network = socket.socket(fileno=os.dup(network))
        for end in (self.guest, self.network):
            end.settimeout(10)
        neighbour.start()

    def close(self) -> None:
        self.neighbour.close()
        self.guest.close()
        self.network.close()


def send(end: socket.socket, frame: bytes) -> None:
    end.sendall(len(frame).to_bytes(4) + frame)


def receive(end: socket.socket) -> bytes:
    length = int.from_bytes(end.recv(4, socket.MSG_WAITALL))
    return end.recv(length, socket.MSG_WAITALL)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(Neighbour(MANNERS))
    yield made
    made.close()


def test_a_reply_says_who_has_the_address() -> None:
    answer = arp_reply(arp("10.0.0.1"), {"10.0.0.1"})
    assert answer[:6] == GUEST
    assert answer[6:12] == MAC
    assert answer[20:22] == b"\0\2"
    assert answer[22:32] == MAC + socket.inet_aton("10.0.0.1")
    assert answer[32:42] == GUEST + socket.inet_aton("10.0.0.5")


def test_other_frames_get_no_reply() -> None:
    ours = {"10.0.0.1"}
    assert arp_reply(arp("10.0.0.2"), ours) == b""
    assert arp_reply(arp("10.0.0.1")[:41], ours) == b""
    assert arp_reply(b"\0" * 64, ours) == b""


def test_routers_and_names_are_answered_for_and_all_else_passes(wire: Wire) -> None:
    send(wire.guest, arp("10.0.0.2"))
    send(wire.guest, arp("10.0.0.1"))
    send(wire.guest, udp(query(HOST)))
    send(wire.guest, b"the last")
    assert receive(wire.network) == arp("10.0.0.2")
    assert receive(wire.network) == b"the last"
    assert len(receive(wire.guest)) == 42
    answer = frames.read(receive(wire.guest))
    assert answer is not None
    assert (answer.from_mac, answer.from_port) == (SERVER_MAC, 53)
    assert answer.data == NAMES.answer(query(HOST))


def test_leases_tell_of_the_name_server_and_all_else_passes(wire: Wire) -> None:
    for frame in (b"first", OFFER):
        send(wire.network, frame)
    assert receive(wire.guest) == b"first"
    got = frames.read(receive(wire.guest))
    assert got is not None
    assert bytes.fromhex("350102 0604a9fe0103 ff 00") in got.data


def test_without_a_name_server_leases_stay_as_they_are() -> None:
    assert Manners(names=NAMES).amended(OFFER) == OFFER


def test_questions_to_a_group_or_another_port_are_not_answered() -> None:
    assert MANNERS.reply(udp(query(HOST)))
    assert MANNERS.reply(udp(query(HOST), to_mac=bytes.fromhex("01005e0000fb"))) == b""
    assert MANNERS.reply(udp(query(HOST), to_port=5353)) == b""
    assert Manners().reply(udp(query(HOST))) == b""


def test_it_ends_when_it_is_closed(wire: Wire) -> None:
    wire.neighbour.close()
    for end in (wire.guest, wire.network):
        with contextlib.suppress(ConnectionError):
            assert end.recv(1) == b""


def test_it_ends_although_nobody_takes_its_frames(wire: Wire) -> None:
    wire.network.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            wire.network.send((1000).to_bytes(4) + bytes(1000))
    wire.neighbour.close()


def test_an_absurd_length_ends_it(wire: Wire) -> None:
    wire.guest.sendall(b"\xff\xff\xff\xff")
    wire.neighbour._threads[0].join(10)
    assert not wire.neighbour._threads[0].is_alive()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=120), st.binary(max_size=60))
def test_no_frame_ends_it(wire: Wire, frame: bytes, data: bytes) -> None:
    for odd in (frame, udp(data), udp(query("")[:12] + data), udp(data, 68, 67), OFFER + data):
        for end in (wire.guest, wire.network):
            send(end, odd)
    send(wire.guest, b"the last")
    while receive(wire.network) != b"the last":
        pass
    send(wire.network, b"the last")
    while receive(wire.guest) != b"the last":
        pass
