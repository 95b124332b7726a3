"""Nodes -> values of the vocabulary's types, collecting every mistake instead of the first.

The types are read through ``msgspec.inspect``, so a field's limits stand once, at the field. A
part with a mistake becomes ``BROKEN`` and makes what contains it broken; the rest is still read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from emulator.errors import ConfigError, Problem
from emulator.model.document import Node, Unfit, describe, plain, quoted
from emulator.model.wording import allowed

BROKEN: Final = object()

MAX_PROBLEMS = 100
"""Nobody reads more at once, and looking for near names takes a millisecond each."""

NEAREST = "(the nearest name)"

type_info = inspect.type_info


class Outside(msgspec.Struct, frozen=True):
    """How a document's references are followed; its source knows where they start.

    ``read(path, limit)`` gives the bytes of a file of at most ``limit`` bytes, ``locate(path)`` an
    absolute path; both raise ``Unfit``. ``programs`` says whether it may name any to be run.
    """

    read: Callable[[str, int], bytes]
    locate: Callable[[str], str]
    programs: bool = True


class Decoder:
    """Reads one document.

    ``problems`` are the mistakes so far; ``places`` says where each value stood, by its path in
    the result (``interfaces[0].mac``), for the rules that look at several fields; ``spelled``
    holds what to do for types that people may write in several ways.
    """

    def __init__(self, outside: Outside, spelled: Mapping[type, Spelling]) -> None:
        """Start with nothing read and nothing wrong."""
        self.outside = outside
        self.problems: list[Problem] = []
        self.places: dict[str, Node] = {}
        self._spelled = spelled

    def decode(self, node: Node, kind: inspect.Type, path: str) -> Any:  # noqa: ANN401
        """Give the value of ``kind`` that ``node`` holds, or ``BROKEN``."""
        self.places[path] = node
        inner, extra = kind, {}
        if isinstance(kind, inspect.Metadata):
            inner, extra = kind.type, kind.extra or {}
        try:
            value = _DECODE[type(inner)](self, node, inner, path, extra)
        except Unfit as bad:
            said = extra.get("allowed", bad.allowed)
            if isinstance(inner, inspect.StrType) and isinstance(node.value, bool | int | float):
                said += " (quote it)"
            found = "a value that is not shown" if extra.get("secret") else bad.found
            return self.refuse(node, found, said)
        return self._followed(node, value, extra) if extra and value else value

    def _followed(self, node: Node, value: Any, extra: Extra) -> Any:  # noqa: ANN401
        """Give ``value``, a path as an absolute one; refuse what its source must not name."""
        if value is BROKEN:
            return BROKEN
        if extra.get("runs") and not self.outside.programs:
            return self.refuse(node, "a program", "none where this is written")
        try:
            return self.outside.locate(value) if extra.get("located") else value
        except Unfit as bad:
            return self.refuse(node, bad.found, bad.allowed)

    def refuse(self, node: Node, found: str, said: str, below: str = "") -> object:
        """Note a problem at ``node`` and give ``BROKEN``; the last one ends the reading."""
        self.problems.append(node.problem(found, said, below))
        if len(self.problems) >= MAX_PROBLEMS:
            raise ConfigError(*self.problems)
        return BROKEN

    def unknown(self, node: Node, key: str, known: Iterable[str]) -> None:
        """Refuse the field that ``node`` is the value of, suggesting the nearest known name."""
        self.refuse(node, f"the unknown field {quoted(key)}", suggestion(key, known))

    def struct(self, node: Node, kind: inspect.StructType, path: str, extra: Extra) -> Any:  # noqa: ANN401
        """Read a mapping into a struct."""
        spelling = self._spelled.get(kind.cls)
        if spelling is not None:
            return spelling(self, node, path, extra)
        if not isinstance(node.value, dict):
            raise Unfit(describe(node), allowed(kind))
        fields = {field.encode_name: field for field in kind.fields}
        values: dict[str, Any] = {}
        for key, child in node.value.items():
            if key in fields:
                where = f"{path}.{key}" if path else key
                values[fields[key].name] = self.decode(child, fields[key].type, where)
            else:
                self.unknown(child, key, fields)
        for key, field in fields.items():
            if field.required and key not in node.value:
                values[key] = self.refuse(node, "nothing", allowed(field.type), f".{key}")
        return BROKEN if BROKEN in values.values() else kind.cls(**values)

    def items(self, node: Node, kind: inspect.VarTupleType, path: str, _extra: Extra) -> Any:  # noqa: ANN401
        """Read a list into a tuple."""
        if not isinstance(node.value, list):
            raise Unfit(describe(node), allowed(kind))
        if not _fits(len(node.value), kind):
            raise Unfit(f"{len(node.value)} items", allowed(kind))
        found = [
            self.decode(item, kind.item_type, f"{path}[{index}]")
            for index, item in enumerate(node.value)
        ]
        return BROKEN if BROKEN in found else tuple(found)

    def mapping(self, node: Node, kind: inspect.DictType, path: str, _extra: Extra) -> Any:  # noqa: ANN401
        """Read a mapping with free keys."""
        if not isinstance(node.value, dict):
            raise Unfit(describe(node), allowed(kind))
        if not _fits(len(node.value), kind):
            raise Unfit(f"{len(node.value)} entries", allowed(kind))
        found: dict[str, Any] = {}
        for key, child in node.value.items():
            name = Node(value=key, file=child.file, line=child.line, field=child.field, raw=key)
            where = f"{path}.{key}"
            good = self.decode(name, kind.key_type, where) is not BROKEN
            value = self.decode(child, kind.value_type, where)
            found[key] = value if good else BROKEN
        return BROKEN if BROKEN in found.values() else found

    def union(self, node: Node, kind: inspect.UnionType, path: str, extra: Extra) -> Any:  # noqa: ANN401
        """Read a value that may be absent: ``null``, or the one other type."""
        if node.value is None:
            return None
        [inner] = [t for t in kind.types if not isinstance(t, inspect.NoneType)]
        return _DECODE[type(inner)](self, node, inner, path, extra)


Extra = Mapping[str, Any]
Spelling = Callable[[Decoder, Node, str, Extra], Any]


def suggestion(key: str, known: Iterable[str]) -> str:
    """Say which names are allowed instead of ``key``: the nearest, or all of them."""
    # Only a mistake pays for difflib's memory.
    from difflib import get_close_matches  # noqa: PLC0415

    names = sorted(known)
    near = get_close_matches(key, names, n=1, cutoff=0.6)
    return f"{near[0]} {NEAREST}" if near else ", ".join(names) or "nothing here"


def _text(_d: Decoder, node: Node, kind: inspect.StrType, _path: str, _extra: Extra) -> str:
    value = node.value
    if not isinstance(value, str) or not _fits(len(value), kind):
        raise Unfit(describe(node), allowed(kind))
    # fullmatch: "$" alone would let a final newline pass.
    if kind.pattern is not None and not re.fullmatch(kind.pattern, value):
        raise Unfit(describe(node), allowed(kind))
    return value


def _whole(_d: Decoder, node: Node, kind: inspect.IntType, _path: str, _extra: Extra) -> int:
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unfit(describe(node), allowed(kind))
    if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
        raise Unfit(describe(node), allowed(kind))
    return value


def _number(_d: Decoder, node: Node, kind: inspect.FloatType, _path: str, _extra: Extra) -> float:
    value = node.value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unfit(describe(node), allowed(kind))
    plain(node)
    return float(value)


def _flag(_d: Decoder, node: Node, kind: inspect.BoolType, _path: str, _extra: Extra) -> bool:
    if not isinstance(node.value, bool):
        raise Unfit(describe(node), allowed(kind))
    return node.value


def _choice(_d: Decoder, node: Node, kind: inspect.LiteralType, _path: str, _x: Extra) -> object:
    if isinstance(node.value, list | dict) or node.value not in kind.values:
        raise Unfit(describe(node), allowed(kind))
    return node.value


def _free(_d: Decoder, node: Node, _kind: inspect.Type, _path: str, _extra: Extra) -> object:
    return plain(node)


def _fits(size: int, kind: inspect.StrType | inspect.VarTupleType | inspect.DictType) -> bool:
    return (kind.min_length or 0) <= size and (kind.max_length is None or size <= kind.max_length)


_DECODE: dict[type[inspect.Type], Callable[..., Any]] = {
    inspect.StructType: Decoder.struct,
    inspect.VarTupleType: Decoder.items,
    inspect.DictType: Decoder.mapping,
    inspect.UnionType: Decoder.union,
    inspect.StrType: _text,
    inspect.IntType: _whole,
    inspect.FloatType: _number,
    inspect.BoolType: _flag,
    inspect.LiteralType: _choice,
    inspect.AnyType: _free,
    inspect.CustomType: _free,
}
