from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.boot import frames
from emulator.boot.frames import Datagram
from tests.boot.packets import ASKER, GUEST, SERVER, SERVER_MAC, arp, summed, udp


def test_a_datagram_is_read() -> None:
    assert frames.read(udp(b"hello")) == Datagram(
        from_mac=GUEST,
        to_mac=SERVER_MAC,
        from_address=socket.inet_aton(ASKER),
        to_address=socket.inet_aton(SERVER),
        from_port=40_000,
        to_port=53,
        data=b"hello",
    )


def test_what_pads_a_frame_is_not_read() -> None:
    padded = frames.read(udp(b"hello") + bytes(20))
    assert padded is not None
    assert padded.data == b"hello"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (12, 0x86),  # not IPv4
        (14, 0x65),  # another version
        (14, 0x44),  # a header shorter than itself
        (14, 0x4F),  # a header longer than the packet
        (17, 0xFF),  # cut off
        (20, 0x20),  # a fragment
        (23, 6),  # TCP
        (39, 7),  # a datagram shorter than its header
        (39, 0x40),  # and one longer than the packet
    ],
)
def test_what_is_no_whole_datagram_is_passed_over(at: int, value: int) -> None:
    frame = bytearray(udp(b"hello"))
    frame[at] = value
    assert frames.read(bytes(frame)) is None


def test_an_answer_goes_back_with_right_sums() -> None:
    question = frames.read(udp(b"question"))
    assert question is not None
    frame = frames.answer(question, b"answer!")
    assert frame[:14] == GUEST + SERVER_MAC + b"\x08\0"
    assert frame[26:34] == socket.inet_aton(SERVER) + socket.inet_aton(ASKER)
    assert struct.unpack(">HHH", frame[34:40]) == (53, 40_000, 15)
    assert frame[42:] == b"answer!"


@given(st.binary(max_size=1500), st.binary(min_size=8, max_size=8))
def test_sums_are_right_whatever_is_sent(data: bytes, addresses: bytes) -> None:
    sent = Datagram(
        from_mac=GUEST,
        to_mac=SERVER_MAC,
        from_address=addresses[:4],
        to_address=addresses[4:],
        from_port=67,
        to_port=68,
        data=data,
    )
    frame = frames.write(sent)
    assert frames.read(frame) == sent
    assert summed(frame[14:34]) == 0xFFFF
    pseudo = frame[26:34] + struct.pack(">HH", 17, len(frame) - 34)
    assert summed(pseudo + frame[34:]) == 0xFFFF
    # 0 would say that there is no sum.
    assert frame[40:42] != b"\0\0"


@given(st.binary(max_size=200))
def test_no_frame_is_too_odd(frame: bytes) -> None:
    frames.read(frame)
    assert frames.read(frame[:12] + b"\x08\0\x45" + frame) is None or len(frame) > 24


def test_another_protocol_is_passed_over() -> None:
    assert frames.read(arp("10.0.0.1")) is None
