"""How the text of an annotation is spelled: one function for each way to read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from emulator.model.document import Node, Unfit, Value, describe, quoted
from emulator.sources.audiences import parse
from emulator.sources.compose import compose

# How JSON escapes what lies beyond 16 bits (RFC 8259, 7), which YAML does not know.
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)


Spelling = Callable[[Node, str], Node]

SPELLINGS: Mapping[str, str] = {
    "text": "text as it is",
    "lines": "one on each line; empty lines and lines starting with # do not count",
    "list": "separated by commas",
    "pairs": "a JSON object, or `key=value` separated by commas",
    "flag": "`true` or `false`",
    "yaml": "YAML or JSON",
    "content": "text, served byte for byte",
    "base64": "base64, line breaks allowed",
    "gzip": "base64 of gzip, unpacked before it is served",
    "audiences": "`[FILE=]AUDIENCE[;SECONDS]` separated by commas",
    "dialects": "names separated by commas, or a YAML or JSON mapping of names to policies",
}

# What is unpacked at most: more than any content may have.
_UNPACKED = (16 << 20) + 1
_GZIP = 31  # zlib's window bits for gzip with the largest window
# Of one annotation, aliases counted as what they repeat: a machine has many such, and admission,
# which reads them for a whole cluster, holds them all at once.
_MOST_VALUES = 10_000


def like(node: Node, value: Value) -> Node:
    """Give a node with another value that stands where ``node`` stands."""
    raw = value if isinstance(value, str) else node.raw
    return Node(value=value, file=node.file, line=node.line, field=node.field, raw=raw)


def _text(node: Node, _text: str) -> Node:
    return node


def _lines(node: Node, text: str) -> Node:
    lines = (line.strip() for line in text.splitlines())
    return like(node, [like(node, x) for x in lines if x and not x.startswith("#")])


def _list(node: Node, text: str) -> Node:
    parts = (part.strip() for part in text.split(","))
    return like(node, [like(node, part) for part in parts if part])


def _pairs(node: Node, text: str) -> Node:
    if text.lstrip().startswith("{"):
        return _yaml(node, text)
    pairs: dict[str, Node] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key in pairs:
            found = f"{quoted(key)} again" if equals else quoted(part)
            raise Unfit(found, "a JSON object, or key=value,... with each key once")
        pairs[key] = like(node, value)
        pairs[key].field = f"{node.field}.{key}"
    return like(node, pairs)


def _flag(node: Node, text: str) -> Node:
    words = {"true": True, "false": False}
    if text not in words:
        raise Unfit(describe(node), "true or false")
    return like(node, words[text])


def _yaml(node: Node, text: str) -> Node:
    if text.lstrip()[:1] in {"{", "["}:
        text = _SURROGATES.sub(_joined, text)
    return compose(text, node.file, node.line, node.field, _MOST_VALUES)


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16) & 0x3FF, int(pair[3], 16) & 0x3FF
    return f"{pair[1]}\\U{0x10000 + (high << 10 | low):08x}"


def _content(node: Node, _text: str) -> Node:
    return like(node, {"text": node})


def _base64(node: Node, _text: str) -> Node:
    return like(node, {"base64": node})


def _gzip(node: Node, text: str) -> Node:
    # Few annotations need these.
    import zlib  # noqa: PLC0415
    from base64 import b64encode  # noqa: PLC0415
    from binascii import a2b_base64  # noqa: PLC0415

    allowed = "base64 of one gzip stream, line breaks allowed"
    unpacking = zlib.decompressobj(_GZIP)
    try:
        packed = a2b_base64("".join(text.split()).encode(), strict_mode=True)
        data = unpacking.decompress(packed, _UNPACKED)
    except ValueError:
        raise Unfit("broken base64", allowed) from None
    except zlib.error as error:
        raise Unfit(f"broken gzip ({error})", allowed) from None
    if len(data) < _UNPACKED and (not unpacking.eof or unpacking.unused_data):
        raise Unfit("a gzip stream that is cut off, or goes on", allowed)
    return like(node, {"base64": like(node, b64encode(data).decode())})


def _audiences(node: Node, text: str) -> Node:
    _ = parse(text)
    return node


def _dialects(node: Node, text: str) -> Node:
    composed = _yaml(node, text)
    return _list(node, text) if isinstance(composed.value, str) else composed


READ: Mapping[str, Spelling] = {
    "text": _text,
    "lines": _lines,
    "list": _list,
    "pairs": _pairs,
    "flag": _flag,
    "yaml": _yaml,
    "content": _content,
    "base64": _base64,
    "gzip": _gzip,
    "audiences": _audiences,
    "dialects": _dialects,
}
