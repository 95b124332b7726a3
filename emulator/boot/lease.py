"""Adds the name server to the leases of QEMU's DHCP, which an isolated guest is not told of.

With ``restrict=on`` QEMU's user network leaves router and name server out of what it leases.
"""

from __future__ import annotations

from emulator.boot.frames import Datagram

FROM_PORT = 67
_OPTIONS = 240
_COOKIE = bytes.fromhex("63825363")
_PAD, _NAME_SERVER, _END = 0, 6, 255


def with_name_server(offer: Datagram, address: bytes) -> bytes:
    """Give the message of ``offer`` with the IPv4 ``address`` of a name server.

    It is empty where nothing is to be added: one is named already, there is no room for it, or
    this is no lease.
    """
    data = offer.data
    if offer.from_port != FROM_PORT or data[_OPTIONS - len(_COOKIE) : _OPTIONS] != _COOKIE:
        return b""
    end = _end(data)
    added = bytes((_NAME_SERVER, len(address))) + address + bytes((_END,))
    room = data[end + 1 : end + len(added)]
    if not end or len(room) != len(added) - 1 or any(room):
        return b""
    return data[:end] + added + data[end + len(added) :]


def _end(data: bytes) -> int:
    """Give where the options end, 0 if they do not or name a server."""
    at = _OPTIONS
    while at < len(data) and data[at] != _END:
        if data[at] == _NAME_SERVER:
            return 0
        at += 1 if data[at] == _PAD else 2 + int.from_bytes(data[at + 1 : at + 2])
    return at if at < len(data) else 0
