"""Stands between a guest and QEMU's user network, and adds what that network lacks.

It answers who has the routers of a guest's static addresses: QEMU's user network takes every
frame that the guest sends, whatever its destination, so a guest that believes in its router
reaches the metadata address through it. It answers for the names of the metadata address, and
names the server that is asked for them in the leases of QEMU's DHCP. All other frames pass.

A place on the wire would not do, as QEMU answers before anything else there is even told of the
question. Frames come and go on stream sockets, each after its length in four bytes, as QEMU's
``socket`` backend has them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Collection
from typing import IO

import msgspec

from emulator.boot import frames, lease
from emulator.boot.names import Names

# Locally administered.
MAC = bytes.fromhex("5254fe000001")

_LENGTH = 4
_LONGEST = 1 << 17
_ARP_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_ARP_FRAME = 42
_DNS = 53
_GROUP = 1

Handle = Callable[[bytes], bool]


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers and changes: IPv4 ``routers`` to play, ``names`` to answer for.

    Leases get the address ``name_server``, unless that is empty.
    """

    routers: frozenset[str] = frozenset()
    names: Names | None = None
    name_server: str = ""

    def reply(self, frame: bytes) -> bytes:
        """Give the answer to a frame of the guest, empty if it is to pass."""
        answer = arp_reply(frame, self.routers)
        if answer or self.names is None:
            return answer
        question = frames.read(frame)
        # Nobody answers as a group.
        if question is None or question.to_port != _DNS or question.to_mac[0] & _GROUP:
            return b""
        answer = self.names.answer(question.data)
        return frames.answer(question, answer) if answer else b""

    def amended(self, frame: bytes) -> bytes:
        """Give a frame of the user network as the guest is to have it."""
        offer = frames.read(frame) if self.name_server else None
        if offer is None:
            return frame
        server = ipaddress.IPv4Address(self.name_server).packed
        data = lease.with_name_server(offer, server)
        return frames.carrying(offer, data) if data else frame


class Neighbour:
    """Two threads that carry frames, one each way.

    Of two socket pairs, the other ends are QEMU's: one is what the guest's cards are on, one what
    the user network is on.
    """

    def __init__(self, manners: Manners) -> None:
        """Stand ready; nothing is carried yet."""
        self._manners = manners
        self._guest, self._network = _End(), _End()
        self._threads = [
            threading.Thread(target=end.each, args=(handle,), name="neighbour", daemon=True)
            for end, handle in (
                (self._guest, self._from_guest),
                (self._network, self._from_network),
            )
        ]

    def start(self) -> None:
        """Begin to carry frames."""
        for thread in self._threads:
            thread.start()

    @property
    def descriptors(self) -> tuple[int, int]:
        """What QEMU is to inherit: for the guest's cards, and for the user network."""
        return self._guest.theirs.fileno(), self._network.theirs.fileno()

    def close(self) -> None:
        """Stop, and close all ends."""
        self._guest.shut()
        self._network.shut()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._guest.close()
        self._network.close()

    def _from_guest(self, frame: bytes) -> bool:
        answer = self._manners.reply(frame)
        return self._guest.send(answer) if answer else self._network.send(frame)

    def _from_network(self, frame: bytes) -> bool:
        return self._guest.send(self._manners.amended(frame))


class _End:
    """A socket pair, our end of which is read by one thread and written by two."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._turn = threading.Lock()

    def send(self, frame: bytes) -> bool:
        """Send a frame; False once that is over."""
        try:
            with self._turn:
                self._ours.sendall(len(frame).to_bytes(_LENGTH) + frame)
        except OSError:
            return False
        return True

    def each(self, handle: Handle) -> None:
        """Give each frame that comes to ``handle``, until one of them has come to its end."""
        with self._ours.makefile("rb") as stream:
            while (frame := _read_frame(stream)) and handle(frame):
                pass

    def shut(self) -> None:
        """Wake up who reads or writes: closing alone would not."""
        for end in (self._ours, self.theirs):
            # It may be closed already.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self.theirs.close()


def arp_reply(frame: bytes, addresses: Collection[str]) -> bytes:
    """Give the ARP answer to ``frame``, empty unless it asks for one of ``addresses``."""
    if len(frame) < _ARP_FRAME or frame[12:22] != _ARP_REQUEST:
        return b""
    asker, wanted = frame[22:32], frame[38:42]
    if str(ipaddress.IPv4Address(wanted)) not in addresses:
        return b""
    return frame[6:12] + MAC + frame[12:20] + b"\0\2" + MAC + wanted + asker


def _read_frame(stream: IO[bytes]) -> bytes:
    try:
        length = int.from_bytes(stream.read(_LENGTH))
        return stream.read(length) if length <= _LONGEST else b""
    except OSError:
        return b""
