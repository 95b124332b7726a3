"""A document -> an instance: types, then names, then the rules between fields, then the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from emulator.errors import ConfigError
from emulator.model import derive, validate
from emulator.model.choices import chosen, with_sections
from emulator.model.decode import Decoder, Outside, type_info
from emulator.model.document import Node, Unfit, describe
from emulator.model.instance import Instance
from emulator.model.spellings import CONTENT
from emulator.model.spellings import FIELDS as SPELLED
from emulator.model.vocabulary import Vocabulary

FIELDS = {
    field.name: field.type
    for field in msgspec.structs.fields(Instance)
    if field.name not in {"dialects", "sections"}
}
"""The instance's fields that every vocabulary has, with their annotations."""


@cache
def kind(name: str) -> inspect.Type:
    """Give the type of a field as ``decode`` reads it.

    One by one: to look into all of them takes a twentieth of the server's start.
    """
    return type_info(FIELDS[name])


class Built(msgspec.Struct, frozen=True):
    """An instance, and where its values stood (by path), for rules between instances."""

    instance: Instance
    places: Mapping[str, Node]


def build(root: Node, vocabulary: Vocabulary, outside: Outside) -> Built:
    """Give the complete instance that ``root`` describes.

    Raises ``ConfigError`` with every mistake, in the order of their lines.
    """
    decoder = Decoder(outside, CONTENT)
    instance, broken = _decode(decoder, root, vocabulary)
    found = [*validate.mistakes(instance, frozenset(decoder.places), broken)]
    if not decoder.problems:
        for name in instance.dialects:
            found.extend(vocabulary.rules[name](instance) if name in vocabulary.rules else ())
    for mistake in found:
        node, below = _nearest(decoder.places, mistake.path)
        decoder.refuse(node, mistake.found, mistake.allowed, below)
    if decoder.problems:
        raise ConfigError(*sorted(decoder.problems, key=lambda problem: problem.line))
    return Built(derive.complete(instance), decoder.places)


def _decode(
    decoder: Decoder, root: Node, vocabulary: Vocabulary
) -> tuple[Instance, frozenset[str]]:
    """Give what could be read, with a default for each broken field, and the broken ones."""
    decoder.places[""] = root
    if not isinstance(root.value, dict):
        found = "an empty document" if root.value is None else describe(root)
        raise ConfigError(root.problem(found, "a mapping with name and other fields"))
    values: dict[str, Any] = {"name": ""}
    broken = set()
    known = {*FIELDS, "dialects", *vocabulary.sections}
    for key, node in root.value.items():
        if key not in known:
            decoder.unknown(node, key, known)
            continue
        before = len(decoder.problems)
        value = _field(decoder, key, node) if key in FIELDS else None
        if len(decoder.problems) > before:
            broken.add(key)
        elif key in FIELDS:
            values[key] = value
    if "name" not in root.value:
        broken.add("name")
        decoder.refuse(root, "nothing", "the machine's name", ".name")
    values["dialects"] = chosen(decoder, root.value.get("dialects"), vocabulary)
    values["sections"] = with_sections(decoder, root.value, values["dialects"], vocabulary)
    instance = derive.resolved(Instance(**values), decoder.outside.locate)
    return instance, frozenset(broken)


def _field(decoder: Decoder, key: str, node: Node) -> Any:  # noqa: ANN401
    try:
        spelled = SPELLED[key](node) if key in SPELLED else node
    except Unfit as bad:
        return decoder.refuse(node, bad.found, bad.allowed)
    return decoder.decode(spelled, kind(key), key)


def _nearest(places: Mapping[str, Node], path: str) -> tuple[Node, str]:
    """Give the node at ``path`` or at what contains it, and the rest of the path."""
    here = path
    while here not in places:
        here = re.sub(r"(^|\.|\[)[^.\[]*$", "", here)
    return places[here], path[len(here) :]
