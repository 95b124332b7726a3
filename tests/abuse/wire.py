"""Answers as they are on the wire, one after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tests.fuzz.target import judged

if TYPE_CHECKING:
    from collections.abc import Mapping

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Answer(NamedTuple):
    """One answer: status, headers by their names in small letters, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answers(data: bytes) -> list[Answer]:
    """Give the answers that ``data`` is made of; none is a server's error or torn."""
    judged(data)
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        status, *lines = head.decode("latin-1").split("\r\n")
        named = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in named}
        found.append(Answer(int(status.split(" ")[1]), headers, data[:size]))
        data = data[size:]
    return found


def request(target: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Give a request without a body, and without any header but ``lines``."""
    return "\r\n".join((f"{method} {target} HTTP/{version}", *lines, "", "")).encode("latin-1")
