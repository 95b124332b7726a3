"""Which dialects a machine sees, and what dialects add to its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from emulator.model.decode import BROKEN, Decoder, suggestion, type_info
from emulator.model.document import Node, describe, quoted
from emulator.model.vocabulary import Vocabulary

_ALLOWED = "a list of dialects, or a mapping of dialects to on, off, or their policy"


def chosen(
    decoder: Decoder, node: Node | None, vocabulary: Vocabulary
) -> dict[str, msgspec.Struct]:
    """Give the policies of the dialects that ``node`` switches on, in the table's order.

    Without it the vocabulary's default ones, with their default policies.
    """
    if node is None or node.value is None:
        return {name: vocabulary.policies[name]() for name in vocabulary.default}
    decoder.places["dialects"] = node
    found: dict[str, Any] = {}
    for name, where in _named(decoder, node):
        if name not in vocabulary.policies:
            allowed = suggestion(name, vocabulary.policies)
            decoder.refuse(where, f"the unknown dialect {quoted(name)}", allowed)
        elif name in found:
            decoder.refuse(where, f"the dialect {quoted(name)} again", "each dialect once")
        else:
            found[name] = _policy(decoder, name, where, vocabulary)
    return {
        name: found[name] for name in vocabulary.policies if found.get(name) not in (None, BROKEN)
    }


def _named(decoder: Decoder, node: Node) -> list[tuple[str, Node]]:
    """Give the names and what stands at each: its policy, or the name itself in a list."""
    if isinstance(node.value, dict):
        return list(node.value.items())
    if not isinstance(node.value, list):
        decoder.refuse(node, describe(node), _ALLOWED)
        return []
    names = []
    for item in node.value:
        if isinstance(item.value, str):
            names.append((item.value, item))
        else:
            decoder.refuse(item, describe(item), "the name of a dialect")
    return names


def _policy(decoder: Decoder, name: str, node: Node, vocabulary: Vocabulary) -> Any:  # noqa: ANN401
    """Give the policy at ``node``, ``None`` for a dialect that is switched off."""
    if isinstance(node.value, dict):
        return decoder.decode(node, type_info(vocabulary.policies[name]), f"dialects.{name}")
    if isinstance(node.value, bool) or node.value is None or node.value == name:
        return None if node.value is False else vocabulary.policies[name]()
    return decoder.refuse(node, describe(node), "on, off, or a mapping with its policy")


def with_sections(
    decoder: Decoder,
    fields: Mapping[str, Node],
    dialects: Mapping[str, msgspec.Struct],
    vocabulary: Vocabulary,
) -> dict[str, msgspec.Struct]:
    """Give the sections that are written, and the default ones of dialects that are on."""
    found: dict[str, Any] = {}
    for name, kind in vocabulary.sections.items():
        node = fields.get(name)
        if node is not None:
            found[name] = decoder.decode(node, type_info(kind), name)
        elif name in dialects:
            found[name] = _empty(decoder, name, vocabulary)
    return {name: value for name, value in found.items() if value is not BROKEN}


def _empty(decoder: Decoder, name: str, vocabulary: Vocabulary) -> Any:  # noqa: ANN401
    """Give a section nobody wrote; if it has required fields, their absence is a problem."""
    root = decoder.places[""]
    nothing = Node(value={}, file=root.file, line=root.line, field=name)
    return decoder.decode(nothing, type_info(vocabulary.sections[name]), name)
