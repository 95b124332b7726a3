"""Frames as a guest and QEMU's user network make them, put together by hand."""

from __future__ import annotations

import socket
import struct

GUEST = bytes.fromhex("525400000001")
SERVER_MAC = bytes.fromhex("525500000003")
SERVER = "169.254.1.3"
ASKER = "169.254.100.2"


def arp(wanted: str, asker: str = "10.0.0.5") -> bytes:
    """Give the question of who has an address."""
    head = b"\xff" * 6 + GUEST + bytes.fromhex("0806 0001 0800 06 04 0001")
    target = b"\0" * 6 + socket.inet_aton(wanted)
    return head + GUEST + socket.inet_aton(asker) + target


def udp(
    data: bytes, to_port: int = 53, from_port: int = 40_000, to_mac: bytes = SERVER_MAC
) -> bytes:
    """Give a datagram of the guest to the name server, without sums."""
    size = len(data) + 8
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size + 20, 1, 0, 64, 17, 0)
    ip += socket.inet_aton(ASKER) + socket.inet_aton(SERVER)
    head = struct.pack(">HHHH", from_port, to_port, size, 0)
    return to_mac + GUEST + b"\x08\0" + ip + head + data


def wire(name: str) -> bytes:
    """Give a name as DNS writes it."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def query(name: str, kind: int = 1, *, edns: bool = False, flags: int = 0x0100) -> bytes:
    """Give a question for the records of ``name``."""
    head = struct.pack(">HHHHHH", 0x1234, flags, 1, 0, 0, int(edns))
    pseudo = bytes.fromhex("00 0029 0200 00000000 0000") if edns else b""
    return head + wire(name) + struct.pack(">HH", kind, 1) + pseudo


def lease(options: str, room: int = 60) -> bytes:
    """Give a DHCP offer with these options, in hexadecimal."""
    head = bytes.fromhex("02010600") + bytes(232) + bytes.fromhex("63825363")
    return head + bytes.fromhex(options) + bytes(room)


def summed(data: bytes) -> int:
    """Add up as the Internet's checksum does: 0xFFFF says that all is well."""
    total = 0
    for high, low in zip(data[::2], (*data[1::2], 0), strict=False):
        total += high << 8 | low
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total
