"""Ethernet frames by which somebody may try to reach an address, whole and with checksums."""

from __future__ import annotations

import ipaddress
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_PORT = 34567


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def arp(
    source_mac: str, source: str, wanted: str, to: str = BROADCAST, operation: int = 1
) -> bytes:
    """Ask who has ``wanted``; with ``operation`` 2 tell that ``source`` is here."""
    head = struct.pack("!HHBBH", 1, _IPV4, 6, 4, operation)
    body = mac(source_mac) + packed(source) + bytes(6) + packed(wanted)
    return _ethernet(to, source_mac, _ARP, head + body)


def solicit(source_mac: str, source: str, wanted: str, to: str = "") -> bytes:
    """Ask who has the IPv6 address ``wanted``, or one machine ``to`` whether it has."""
    target = packed(wanted)
    group = packed("ff02::1:ff00:0")[:13] + target[13:]
    message = struct.pack("!BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + mac(source_mac)
    packet = _ipv6(packed(source), group, _ICMPV6, message, hops=255)
    return _ethernet(to or "33:33:" + group[12:].hex(":"), source_mac, _IPV6, packet)


def advertise(source_mac: str, address: str) -> bytes:
    """Tell everybody that the IPv6 ``address`` is here."""
    message = struct.pack("!BBHI", 136, 0, 0, 1 << 29) + packed(address)
    message += b"\x02\x01" + mac(source_mac)
    packet = _ipv6(packed("fe80::99"), packed("ff02::1"), _ICMPV6, message, hops=255)
    return _ethernet("33:33:00:00:00:01", source_mac, _IPV6, packet)


def advertise_router(source_mac: str, source: str, wanted: str, to: str) -> bytes:
    """Tell the machine at ``wanted`` that ``source`` is a router, by default for 30 minutes."""
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    return _ethernet(
        to, source_mac, _IPV6, _ipv6(packed(source), packed(wanted), _ICMPV6, message, hops=255)
    )


def attempts(source_mac: str, source: str, wanted: str, to: str, port: int = 80) -> list[bytes]:
    """Ping ``wanted``, send a datagram, and begin a connection."""
    near, far = packed(source), packed(wanted)
    syn = struct.pack("!HHIIBBHHH", _PORT, port, 7, 0, 5 << 4, 2, 65535, 0, 0)
    datagram = struct.pack("!HHHH", _PORT, port, 8, 0)
    if ":" in wanted:
        echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
        parts = ((_ICMPV6, echo), (_UDP, datagram), (_TCP, syn))
        return [
            _ethernet(to, source_mac, _IPV6, _ipv6(near, far, protocol, data))
            for protocol, data in parts
        ]
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
    parts = ((_ICMP, echo), (_UDP, datagram), (_TCP, syn))
    return [
        _ethernet(to, source_mac, _IPV4, _ipv4(near, far, protocol, data))
        for protocol, data in parts
    ]


def tagged(frame: bytes, *numbers: int, kind: int = 0x8100) -> bytes:
    """Give ``frame`` VLAN tags with ``numbers``, the outermost first and of ``kind``."""
    kinds = (kind, *[0x8100] * len(numbers))
    tags = (struct.pack("!HH", *tag) for tag in zip(kinds, numbers, strict=False))
    return frame[:12] + b"".join(tags) + frame[12:]


def mentions(frame: bytes, address: str) -> bool:
    """Say whether ``address`` stands anywhere in ``frame``."""
    return packed(address) in frame


def hops(frame: bytes) -> int:
    """Give how far an IP packet may go on."""
    return frame[14 + 8] if frame[12:14] == b"\x08\x00" else frame[14 + 7]


def is_tcp(frame: bytes, source: str) -> bool:
    """Say whether this is TCP from ``source``."""
    address = packed(source)
    at, protocol = (26, 23) if len(address) == 4 else (22, 20)
    return frame[at : at + len(address)] == address and frame[protocol] == _TCP


def _ethernet(to: str, source: str, kind: int, data: bytes) -> bytes:
    return mac(to) + mac(source) + struct.pack("!H", kind) + data


def _ipv4(near: bytes, far: bytes, protocol: int, data: bytes) -> bytes:
    data = _summed(near, far, protocol, data)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, protocol, 0) + near + far
    return head[:10] + _checksum(head) + head[12:] + data


def _ipv6(near: bytes, far: bytes, protocol: int, data: bytes, hops: int = 64) -> bytes:
    data = _summed(near, far, protocol, data)
    return struct.pack("!IHBB", 6 << 28, len(data), protocol, hops) + near + far + data


def _summed(near: bytes, far: bytes, protocol: int, data: bytes) -> bytes:
    """Fill in the checksum, which covers the addresses too but for IPv4's ICMP."""
    at = {_ICMP: 2, _ICMPV6: 2, _UDP: 6, _TCP: 16}[protocol]
    pseudo = b"" if protocol == _ICMP else near + far + struct.pack("!II", len(data), protocol)
    return data[:at] + _checksum(pseudo + data) + data[at + 2 :]


def _checksum(data: bytes) -> bytes:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
