"""Serves guests over links and a router in network namespaces; started by ``test_hop_limit``.

Four namespaces: the server's, whose every packet is seen by a packet socket; a client's beside it;
a router's; and a client's behind the router. The argument is the server's command as JSON; what is
printed is JSON: what each client got, and each TCP packet that the server sent.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

ADDRESSES = {"4": "169.254.169.254", "6": "fd00:ec2::254"}
PATIENCE = 30
FIN = 1
CLIENT = Path(__file__).with_name("hop_client.py")


class Packet(NamedTuple):
    """A TCP packet of the server: where it went, how far it may go, what it carries."""

    family: str
    port: int
    hops: int
    sequence: int
    size: int
    fin: bool


class Node:
    """A network namespace, kept by a process that waits in it."""

    def __init__(self) -> None:
        # Over its pipe it says when it is there, and learns when it may end.
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo there; read wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"there\n"
        self.pid = str(self._keeper.pid)
        self.ip("link set lo up")

    def run(self, *command: str) -> str:
        inside = ["nsenter", "--target", self.pid, "--net", *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True).stdout

    def ip(self, arguments: str) -> None:
        self.run("ip", *arguments.split())

    def close(self) -> None:
        self._keeper.communicate()


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def networks() -> tuple[Node, Node, Node]:
    """Lay the links; give the near client, the router and the far client."""
    near, router, far = Node(), Node(), Node()
    ip("link set lo up")
    for address in ADDRESSES.values():
        ip(f"address add {address} dev lo")
    ip(f"link add s0 type veth peer name e0 netns {near.pid}")
    ip(f"link add s1 type veth peer name e0 netns {router.pid}")
    router.ip(f"link add e1 type veth peer name e0 netns {far.pid}")
    for number, node in enumerate((near, router)):
        for address in (f"10.{number}.0.1/24", f"fd0{number}::1/64"):
            ip(f"address add {address} dev s{number} nodad")
        ip(f"link set s{number} up")
        addressed(node, "e0", str(number), "2")
        gateways(node, str(number))
    addressed(router, "e1", "2", "1")
    addressed(far, "e0", "2", "2")
    gateways(far, "2")
    ip("route add 10.2.0.0/24 via 10.1.0.2")
    ip("route add fd02::/64 via fd01::2")
    for key in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        router.run("sh", "-c", f"echo 1 > /proc/sys/{key}")
    return near, router, far


def addressed(node: Node, link: str, net: str, host: str) -> None:
    node.ip(f"address add 10.{net}.0.{host}/24 dev {link} nodad")
    node.ip(f"address add fd0{net}::{host}/64 dev {link} nodad")
    node.ip(f"link set {link} up")


def gateways(node: Node, net: str) -> None:
    node.ip(f"route add default via 10.{net}.0.1")
    node.ip(f"route add default via fd0{net}::1")


def capture(packets: list[Packet]) -> None:
    """Note what the server sends; all of it leaves through a link that ends at another node."""
    every_protocol = 3
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(every_protocol))

    def read() -> None:
        while True:
            data, (_, _, direction, *_) = tap.recvfrom(65536)
            if direction == socket.PACKET_OUTGOING:
                with contextlib.suppress(ValueError):
                    packets.append(decoded(data))

    threading.Thread(target=read, daemon=True).start()


def decoded(data: bytes) -> Packet:
    """Read a packet of port 80; raise ``ValueError`` for any other."""
    if data[0] >> 4 == 4:
        family, protocol, hops = "4", data[9], data[8]
        tcp = data[(data[0] & 15) * 4 : int.from_bytes(data[2:4])]
    else:
        family, protocol, hops = "6", data[6], data[7]
        tcp = data[40 : 40 + int.from_bytes(data[4:6])]
    if protocol != socket.IPPROTO_TCP:
        raise ValueError(protocol)
    source, port, sequence, _, offset, flags = struct.unpack("!HHIIBB", tcp[:14])
    if source != 80:
        raise ValueError(source)
    return Packet(family, port, hops, sequence, len(tcp) - (offset >> 4) * 4, bool(flags & FIN))


def wait(server: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections at both addresses."""
    end = time.monotonic() + PATIENCE
    missing = list(ADDRESSES.values())
    while missing and time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((missing[-1], 80), 1):
            missing.pop()
            continue
        time.sleep(0.02)
    assert not missing, f"the server does not listen (exit code {server.poll()})"


def main() -> None:
    # Only a namespace that is new has no loopback yet; links and routes are laid in no other.
    links = subprocess.run(["ip", "-json", "link", "show", "lo"], check=True, capture_output=True)
    assert "UP" not in json.loads(links.stdout)[0]["flags"]
    near, router, far = networks()
    packets: list[Packet] = []
    capture(packets)
    server = subprocess.Popen(json.loads(sys.argv[1]))
    try:
        wait(server)
        got: dict[str, Any] = {}
        for name, node in (("near", near), ("far", far)):
            for family, address in ADDRESSES.items():
                printed = node.run(sys.executable, str(CLIENT), address)
                got[name + family] = json.loads(printed)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)
    for node in (near, router, far):
        node.close()
    print(json.dumps({"got": got, "packets": [packet._asdict() for packet in packets]}))  # noqa: T201  its result


if __name__ == "__main__":
    main()
