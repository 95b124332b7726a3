"""UDP over IPv4 over Ethernet, read and written: as much of it as a guest's neighbour needs."""

from __future__ import annotations

import struct

import msgspec
from msgspec.structs import replace

_IPV4 = b"\x08\x00"
_UDP = 17
_ETHERNET = 14
_IP = struct.Struct(">BBHHHBBH4s4s")
_HEAD = struct.Struct(">HHHH")
_VERSION = 4
_FRAGMENT = 0x3FFF
_DO_NOT_FRAGMENT = 0x4000
_HOPS = 64
_NO_CHECKSUM = 0xFFFF


class Datagram(msgspec.Struct, frozen=True, kw_only=True):
    """A datagram in its frame: whence, whither, and what it carries."""

    from_mac: bytes
    to_mac: bytes
    from_address: bytes
    to_address: bytes
    from_port: int
    to_port: int
    data: bytes


def read(frame: bytes) -> Datagram | None:
    """Give what ``frame`` carries, None for anything but a whole datagram.

    Checksums are believed: between two ends on one machine nothing spoils a frame.
    """
    if len(frame) < _ETHERNET + _IP.size or frame[12:14] != _IPV4:
        return None
    first, _, total, _, part, _, protocol, _, source, target = _IP.unpack_from(frame, _ETHERNET)
    length = (first & 15) * 4
    packet = frame[_ETHERNET : _ETHERNET + total]
    whole = first >> 4 == _VERSION and length >= _IP.size and len(packet) == total
    if not whole or part & _FRAGMENT or protocol != _UDP or total < length + _HEAD.size:
        return None
    from_port, to_port, size, _ = _HEAD.unpack_from(packet, length)
    if not _HEAD.size <= size <= total - length:
        return None
    return Datagram(
        from_mac=frame[6:12],
        to_mac=frame[:6],
        from_address=source,
        to_address=target,
        from_port=from_port,
        to_port=to_port,
        data=packet[length + _HEAD.size : length + size],
    )


def write(datagram: Datagram) -> bytes:
    """Give the frame that carries ``datagram``."""
    size = _HEAD.size + len(datagram.data)
    addresses = datagram.from_address + datagram.to_address
    head = _HEAD.pack(datagram.from_port, datagram.to_port, size, 0)
    pseudo = addresses + struct.pack(">HH", _UDP, size)
    # A sum of 0 would say that there is none.
    total = checksum(pseudo + head + datagram.data) or _NO_CHECKSUM
    head = head[:6] + total.to_bytes(2)
    packet = _IP.pack(
        _VERSION << 4 | _IP.size // 4,
        0,
        _IP.size + size,
        0,
        _DO_NOT_FRAGMENT,
        _HOPS,
        _UDP,
        0,
        datagram.from_address,
        datagram.to_address,
    )
    packet = packet[:10] + checksum(packet).to_bytes(2) + packet[12:]
    return datagram.to_mac + datagram.from_mac + _IPV4 + packet + head + datagram.data


def answer(datagram: Datagram, data: bytes) -> bytes:
    """Give the frame that takes ``data`` back to where ``datagram`` came from."""
    return write(
        Datagram(
            from_mac=datagram.to_mac,
            to_mac=datagram.from_mac,
            from_address=datagram.to_address,
            to_address=datagram.from_address,
            from_port=datagram.to_port,
            to_port=datagram.from_port,
            data=data,
        )
    )


def carrying(datagram: Datagram, data: bytes) -> bytes:
    """Give the frame of ``datagram`` with ``data`` in place of its own."""
    return write(replace(datagram, data=data))


def checksum(data: bytes) -> int:
    """Give the Internet's checksum of ``data``."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
