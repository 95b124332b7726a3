"""Plays the routers of a guest's static addresses: answers who has them, and nothing else.

QEMU's user network takes every frame that the guest sends, whatever its destination, so a guest
that believes in its router reaches the metadata address through it. Frames come and go on a stream
socket, each after its length in four bytes, as QEMU's ``socket`` backend has them.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Collection
from typing import BinaryIO

# Locally administered.
MAC = bytes.fromhex("5254fe000001")

_LENGTH = 4
_LONGEST = 1 << 17
_ARP_REQUEST = bytes.fromhex("0806 0001 0800 06 04 0001")
_ARP_FRAME = 42


class Neighbour:
    """A thread that answers on one end of a socket pair; the other end is QEMU's."""

    def __init__(self, addresses: Collection[str]) -> None:
        """Answer for the IPv4 ``addresses``."""
        self._addresses = {ipaddress.IPv4Address(text).packed for text in addresses}
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._run, name="neighbour", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def descriptor(self) -> int:
        """What QEMU is to inherit."""
        return self._theirs.fileno()

    def close(self) -> None:
        """Stop, and close both ends."""
        # Closing alone would not wake the thread out of its read.
        for end in (self._ours, self._theirs):
            with end:
                end.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with self._ours.makefile("rb") as frames:
            while frame := _read_frame(frames):
                answer = reply(frame, self._addresses)
                if answer and not self._send(answer):
                    return

    def _send(self, frame: bytes) -> bool:
        try:
            self._ours.sendall(len(frame).to_bytes(_LENGTH) + frame)
        except OSError:
            return False
        return True


def reply(frame: bytes, addresses: Collection[bytes]) -> bytes:
    """Give the ARP answer to ``frame``, empty unless it asks for one of ``addresses``."""
    if len(frame) < _ARP_FRAME or frame[12:22] != _ARP_REQUEST or frame[38:42] not in addresses:
        return b""
    asker, wanted = frame[22:32], frame[38:42]
    return frame[6:12] + MAC + frame[12:20] + b"\0\2" + MAC + wanted + asker


def _read_frame(frames: BinaryIO) -> bytes:
    try:
        length = int.from_bytes(frames.read(_LENGTH))
        return frames.read(length) if length <= _LONGEST else b""
    except OSError:
        return b""
