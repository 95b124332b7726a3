"""Requests as they pass on the wire: the audit log has neither queries nor what is pending."""

from __future__ import annotations

import re
import socket
import threading
from typing import Self

_ALL = 0x0003  # ETH_P_ALL
_HTTP = 80
_LINE = re.compile(rb"([A-Z]+ /[\x21-\x7e]*) HTTP/1\.[01]\r\n")


class Wire:
    """Records what is asked of port 80 on the loopback device of a network namespace.

    While it is entered, ``lines`` grow: ``METHOD target``, in the order of the requests.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._socket.bind(("lo", _ALL))
        self._socket.settimeout(0.1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def wait(self, pattern: str, seconds: float) -> None:
        """Wait until a line matches ``pattern``."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(re.search(pattern, line) for line in self.lines), seconds
            )
        assert found, f"no {pattern} among {self.lines}"

    def _listen(self) -> None:
        while True:
            try:
                packet, address = self._socket.recvfrom(65536)
            except TimeoutError:
                if self._over.is_set():  # and nothing is left to be read
                    return
                continue
            # Each packet passes the loopback device twice.
            if address[2] == socket.PACKET_HOST:
                self._keep(packet)

    def _keep(self, packet: bytes) -> None:
        start = (packet[0] & 0x0F) * 4  # of TCP, behind IPv4's header
        if packet[0] >> 4 != 4 or int.from_bytes(packet[start + 2 : start + 4]) != _HTTP:
            return
        found = _LINE.match(packet, start + (packet[start + 12] >> 4) * 4)
        if found:
            with self._changed:
                self.lines.append(found[1].decode("ascii"))
                self._changed.notify_all()
