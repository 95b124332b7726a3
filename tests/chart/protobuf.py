"""Reads a Secret as Go's clients of Kubernetes send it, which Helm uses for its releases."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"k8s\0"

Message = dict[int, list[Any]]


def secret(sent: bytes) -> dict[str, Any]:
    """Give what kubectl would have sent as JSON (apimachinery's and core/v1's generated.proto)."""
    assert sent.startswith(MAGIC)
    envelope = _message(sent.removeprefix(MAGIC))
    about, body = _message(envelope[1][0]), _message(envelope[2][0])
    kind = about[2][0].decode()
    assert kind == "Secret", kind
    metadata = _message(body[1][0])
    return {
        "apiVersion": about[1][0].decode(),
        "kind": kind,
        "metadata": {
            "name": metadata[1][0].decode(),
            "labels": {name: value.decode() for name, value in _entries(metadata[11])},
        },
        "data": {name: b64encode(value).decode() for name, value in _entries(body[2])},
        "type": body[3][0].decode(),
    }


def _entries(found: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for each in found:
        entry = _message(each)
        yield entry[1][0].decode(), entry[2][0] if 2 in entry else b""


def _message(text: bytes) -> Message:
    """Give a message's fields by their numbers; the wire's types 0 and 2 are all that occur."""
    fields: Message = defaultdict(list)
    at = 0
    while at < len(text):
        tag, at = _number(text, at)
        value, at = _number(text, at)
        if tag & 7 == 2:
            fields[tag >> 3].append(text[at : at + value])
            at += value
        else:
            assert tag & 7 == 0, tag
            fields[tag >> 3].append(value)
    return fields


def _number(text: bytes, at: int) -> tuple[int, int]:
    """Read a varint; give it and where it ends."""
    value = shift = 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at
