"""Sends raw frames over one link and notes all that pass there; started in a namespace by Wire.

Its argument is the link's name. A line of hexadecimal digits is a frame to send; an empty line
asks for what has been seen: one line each, with ``>`` before what has left and ``<`` before what
has come, and an empty line at the end.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Self

EVERYTHING = 3


class Wire:
    """A link of a namespace, to listen at and to send on."""

    def __init__(self, namespace: object, link: str) -> None:
        from tests.support.namespaces import Namespace

        assert isinstance(namespace, Namespace)
        script = str(Path(__file__).absolute())
        command = (sys.executable, "-I", "-S", script, link)
        self._process = namespace.start(*command, stdin=PIPE, stdout=PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        assert self._out.readline() == "there\n"

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._in.write(frame.hex() + "\n")
        self._in.flush()

    def seen(self) -> tuple[list[bytes], list[bytes]]:
        """Give the frames that have come, and those that have left."""
        self._in.write("\n")
        self._in.flush()
        lines = iter(self._out.readline, "\n")
        both: dict[str, list[bytes]] = {"<": [], ">": []}
        for line in lines:
            both[line[0]].append(bytes.fromhex(line[1:]))
        return both["<"], both[">"]

    def close(self) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main(link: str) -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    wire.bind((link, EVERYTHING))
    wire.settimeout(0)
    noted: list[str] = []
    lines = b""
    print("there", flush=True)  # noqa: T201  its protocol
    while True:
        ready, _, _ = select.select([sys.stdin, wire], [], [])
        noted += seen(wire)
        if sys.stdin in ready:
            given = os.read(sys.stdin.fileno(), 1 << 20)
            if not given:
                return
            *whole, lines = (lines + given).split(b"\n")
            for line in whole:
                noted = obeyed(line, wire, noted)


def obeyed(line: bytes, wire: socket.socket, noted: list[str]) -> list[str]:
    """Do what a line asks for; give what is to be told still."""
    if line:
        wire.send(bytes.fromhex(line.decode()))
        return noted
    print(*noted, *seen(wire), "", sep="\n", flush=True)  # noqa: T201
    return []


def seen(wire: socket.socket) -> Iterator[str]:
    while True:
        try:
            frame, (_, _, direction, *_) = wire.recvfrom(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            continue  # the link was down for a moment
        yield (">" if direction == socket.PACKET_OUTGOING else "<") + frame.hex()


if __name__ == "__main__":
    main(sys.argv[1])
