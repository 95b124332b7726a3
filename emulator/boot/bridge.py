"""The program that QEMU starts for each of the guest's connections: stdin and stdout <-> socket.

Run as ``python3 -I -S bridge.py SOCKET``. QEMU's user network (``guestfwd``) gives it one
connected socket as stdin and stdout, as inetd would. The guest waits for its start on every
connection, hence the built-in half of ``socket``: the other half takes twice as long as the rest.
"""

from __future__ import annotations

import _socket
import _thread
import os
import sys

CHUNK = 65_536


def carry(source: int, sink: int) -> None:
    """Copy bytes until ``source`` ends; an error of either side is an end as well."""
    try:
        while data := os.read(source, CHUNK):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(sink, rest) :]
    except OSError:
        return


def from_guest(upstream: _socket.socket) -> None:
    """Pass the request on, then only its end: the answer may still be on its way."""
    carry(0, upstream.fileno())
    try:
        upstream.shutdown(_socket.SHUT_WR)
    except OSError:
        return


def main(path: str) -> int:
    """Serve one connection; 0 once the server has ended it, 1 if it cannot be reached."""
    upstream = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        upstream.connect(path)
    except OSError:
        return 1
    _thread.start_new_thread(from_guest, (upstream,))
    carry(upstream.fileno(), 1)
    return 0


if __name__ == "__main__":
    # The other thread may sit in a read for ever: leave without waiting for it.
    os._exit(main(sys.argv[1]))
