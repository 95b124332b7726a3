"""The spellings that people may choose between, each brought to the one that the types have."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

from emulator.model.decode import BROKEN, Decoder, Extra, Spelling
from emulator.model.document import Node, Unfit, describe, kind_of
from emulator.model.instance import Content
from emulator.model.wording import CONTENT_WORDS

_KEYS = "a list of keys, or a mapping of names to keys"


def content(decoder: Decoder, node: Node, path: str, extra: Extra) -> Any:  # noqa: ANN401
    """Read ``Content``: plain text, or ``{text|file|base64: ..., template: ...}``."""
    limit: int = extra["limit"]
    if isinstance(node.value, str):
        return _from(node, _bounded(node.value.encode(), limit), template=False)
    if not isinstance(node.value, dict):
        raise Unfit(kind_of(node), CONTENT_WORDS)
    for key, child in node.value.items():
        if key not in _FIELDS:
            decoder.unknown(child, key, _FIELDS)
    given = [key for key in _SOURCES if key in node.value]
    if len(given) != 1:
        raise Unfit(" and ".join(given) or "none of text, file, base64", CONTENT_WORDS)
    template = _template(decoder, node.value.get("template"))
    source = node.value[given[0]]
    data = _data(decoder, given[0], source, limit)
    decoder.places[path] = source
    if data is None:
        return BROKEN
    if given[0] == "file":
        return Content(data=data, template=template, file=source.raw, line=1)
    return _from(source, data, template=template)


def _from(node: Node, data: bytes, *, template: bool) -> Content:
    """Give content that stands in the description itself."""
    return Content(data=data, template=template, file=node.file, line=node.text_line or node.line)


def _template(decoder: Decoder, node: Node | None) -> bool:
    if node is not None and not isinstance(node.value, bool):
        decoder.refuse(node, describe(node), "true or false")
    return node is not None and node.value is True


def _data(decoder: Decoder, source: str, node: Node, limit: int) -> bytes | None:
    if not isinstance(node.value, str):
        decoder.refuse(node, kind_of(node), "text (quote it)")
        return None
    try:
        return _bounded(_SOURCES[source](decoder, node.value, limit), limit)
    except Unfit as bad:
        decoder.refuse(node, bad.found, bad.allowed)
        return None


def _bounded(data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise Unfit(f"{len(data)} bytes", f"at most {limit} bytes")
    return data


def _decoded(_decoder: Decoder, text: str, _limit: int) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()).encode(), strict_mode=True)
    except ValueError:
        raise Unfit("broken base64", "base64, line breaks allowed") from None


_SOURCES: dict[str, Callable[[Decoder, str, int], bytes]] = {
    "text": lambda _decoder, text, _limit: text.encode(),
    "file": lambda decoder, text, limit: decoder.outside.read(text, limit),
    "base64": _decoded,
}

_FIELDS = (*_SOURCES, "template")

CONTENT: dict[type, Spelling] = {Content: content}


def public_keys(node: Node) -> Node:
    """Bring keys to a list of ``{name, key, type}``.

    A mapping gives names to key lines; a line in a list is named by its comment, else ``key-N``.
    """
    value = node.value
    if isinstance(value, dict):
        return _like(node, [_named(name, child) for name, child in value.items()])
    if isinstance(value, list):
        return _like(node, [_listed(n, child) for n, child in enumerate(value, 1)])
    raise Unfit(describe(node), _KEYS)


def _named(name: str, node: Node) -> Node:
    key = _like(node, name)
    if isinstance(node.value, dict):
        return _like(node, {"name": key, **node.value})
    return _like(node, {"name": key, "key": node})


def _listed(number: int, node: Node) -> Node:
    if not isinstance(node.value, str):
        return node
    words = node.value.split(None, 2)
    comment = words[2].strip() if len(words) > 2 else ""  # noqa: PLR2004 - type, body, comment
    return _like(node, {"name": _like(node, comment or f"key-{number}"), "key": node})


def tokens(node: Node) -> Node:
    """Bring tokens to a list of mappings; a text in the list is an audience."""
    if not isinstance(node.value, list):
        return node
    return _like(
        node,
        [
            _like(item, {"audience": item}) if isinstance(item.value, str) else item
            for item in node.value
        ],
    )


def _like(node: Node, value: str | list[Node] | dict[str, Node]) -> Node:
    """Give a node with another value that stands where ``node`` stands."""
    raw = value if isinstance(value, str) else ""
    return Node(value=value, file=node.file, line=node.line, field=node.field, raw=raw)


FIELDS: dict[str, Callable[[Node], Node]] = {"public_keys": public_keys, "tokens": tokens}
