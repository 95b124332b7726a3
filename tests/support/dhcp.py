"""A DHCP server of one lease, as KubeVirt has on a VM's bridge; started in the pod's namespace.

Its argument is a JSON object: ``bridge``, ``server`` (its own address), ``address`` with the
length of its network, ``router``, and ``host`` (the guest's name).
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import sys

MAGIC = b"\x63\x82\x53\x63"
FIXED = 236  # bytes before the options (RFC 2131, 2)
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
TYPE, END = 53, 255


def main() -> None:
    lease = json.loads(sys.argv[1])
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, lease["bridge"].encode())
    asked.bind(("", 67))
    print("there", flush=True)  # noqa: T201  its protocol
    while True:
        answer = reply(asked.recv(4096), lease)
        if answer:
            asked.sendto(answer, ("255.255.255.255", 68))


def reply(message: bytes, lease: dict[str, str]) -> bytes:
    """Answer a DISCOVER with an OFFER and a REQUEST with an ACK, and nothing else."""
    kind = {DISCOVER: OFFER, REQUEST: ACK}.get(asked_for(message))
    if kind is None:
        return b""
    address = ipaddress.ip_interface(lease["address"])
    server = ipaddress.ip_address(lease["server"]).packed
    head = bytearray(message[:FIXED])
    head[0] = 2  # a reply
    head[16:20] = address.ip.packed
    head[20:24] = server
    options = {
        TYPE: bytes([kind]),
        54: server,
        51: struct.pack("!I", 86_400),
        1: address.network.netmask.packed,
        3: ipaddress.ip_address(lease["router"]).packed,
        12: lease["host"].encode(),
        26: struct.pack("!H", 1500),
    }
    listed = b"".join(bytes([code, len(data)]) + data for code, data in options.items())
    return bytes(head) + MAGIC + listed + bytes([END])


def asked_for(message: bytes) -> int:
    """Give the message's type, 0 for what is no DHCP."""
    options = message[FIXED + len(MAGIC) :]
    if message[FIXED : FIXED + len(MAGIC)] != MAGIC:
        return 0
    at = 0
    while at + 1 < len(options) and options[at] != END:
        if options[at] == TYPE:
            return options[at + 2]
        at += 1 if options[at] == 0 else 2 + options[at + 1]
    return 0


if __name__ == "__main__":
    main()
