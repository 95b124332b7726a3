"""YAML text -> nodes, under limits that hold before memory is spent.

Read by events instead of PyYAML's own constructors: each value keeps its line and spelling,
duplicate keys are seen, nesting costs no stack, and an alias is paid for like what it repeats.

Plain scalars follow YAML 1.2's core schema where YAML 1.1 surprises (``52:54:00:12:34:56`` is
text, not a base-60 number; dates are text; ``010`` is text), and 1.1's ``on``/``off``/``yes``/
``no`` stay switches, because that is what people write for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import yaml

from emulator.errors import ConfigError, Problem
from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import Node, Unfit, Value, quoted

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_TEXT = 32 << 20
"""Characters; eight times what a file may hold, for aliases of long texts."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {
    spelled: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for word in words
    for spelled in (word, word.capitalize(), word.upper())
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})|0x[0-9A-Fa-f]{1,16}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*|(?=[eE])))([eE][-+]?[0-9]{1,3})?"
    r"|[-+]?\.(inf|Inf|INF)"
)
_NAN = frozenset((".nan", ".NaN", ".NAN"))
_TEXT_TAGS = frozenset(("!", "tag:yaml.org,2002:str"))
_SURROGATE = re.compile("[\ud800-\udfff]")
_MERGE = "<<"


class _Open(msgspec.Struct):
    """A list or mapping whose end has not been seen yet; ``mapping`` is ``None`` for a list."""

    node: Node
    anchor: str | None
    items: list[Node]
    mapping: dict[str, Node] | None
    merged: list[Node]
    key: str | None = None
    merge: bool = False

    def wants_key(self) -> bool:
        return self.mapping is not None and self.key is None

    def here(self) -> str:
        """Give the path of the value that comes next."""
        if self.mapping is None:
            return f"{self.node.field}[{len(self.items)}]"
        return _below(self.node.field, self.key or "")

    def put(self, node: Node) -> None:
        if self.mapping is None:
            self.items.append(node)
            return
        if self.merge:
            self.merged.append(node)
        else:
            self.mapping.setdefault(self.key or "", node)
        self.key = None


def compose(text: str, file: str, line: int = 0, field: str = "", most: int = MAX_NODES) -> Node:
    """Give the document in ``text``, which came from ``file`` and holds at most ``most`` values.

    With ``line`` the whole text stands on that line of the file, as an annotation's value does;
    ``field`` is the path of its root. Raises ``ConfigError`` with every problem.
    """
    composer = _Composer(file, line, field, most)
    try:
        composer.run(text)
    except Unfit as bad:
        composer.refuse(bad.found, bad.allowed)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        composer.at(mark.line if mark else 0)
        composer.refuse(f"broken YAML ({error.problem or error.context})", "YAML")
    except yaml.reader.ReaderError as error:
        composer.at(text.count("\n", 0, max(error.position, 0)))
        composer.refuse(f"a character that YAML forbids ({error.reason})", "printable text")
    if composer.problems:
        raise ConfigError(*composer.problems)
    return composer.root


class _Composer:
    """The state of reading one document."""

    def __init__(self, file: str, line: int, field: str, most: int) -> None:
        self._file = file
        self._most = most
        self._fixed = line
        self._field = field
        self._line = line or 1
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._count = 0
        self._size = 0
        self._documents = 0
        self.problems: list[Problem] = []
        self.root = self._node(None)

    def at(self, line: int) -> None:
        """Move to the 0-based ``line`` of the text."""
        self._line = self._fixed or line + 1

    def refuse(self, found: str, allowed: str, field: str | None = None) -> None:
        """Note a problem at the current line."""
        where = self._here() if field is None else field
        self.problems.append(
            Problem(file=self._file, line=self._line, field=where, found=found, allowed=allowed)
        )
        if len(self.problems) >= MAX_PROBLEMS:
            raise ConfigError(*self.problems)

    def run(self, text: str) -> None:
        """Read all events; a fatal one raises ``Unfit``."""
        for event in _events(text):
            self.at(event.start_mark.line if event.start_mark else 0)
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def _node(self, value: Value, raw: str = "") -> Node:
        allowed = "a smaller document (an alias counts as what it repeats)"
        self._count += 1
        if self._count > self._most:
            raise Unfit(f"more than {self._most} values", allowed)
        self._size += len(raw)
        if self._size > MAX_TEXT:
            raise Unfit(f"more than {MAX_TEXT} characters", allowed)
        return Node(value=value, file=self._file, line=self._line, field=self._here(), raw=raw)

    def _here(self) -> str:
        return self._open[-1].here() if self._open else self._field

    def document(self, _event: object) -> None:
        self._documents += 1
        if self._documents > 1:
            raise Unfit("a second document (---)", "one document in each file")

    def scalar(self, event: yaml.ScalarEvent) -> None:
        raw = event.value
        if not raw.isascii() and _SURROGATE.search(raw):
            raise Unfit("half of a surrogate pair", "text that UTF-8 can carry")
        if self._open and self._open[-1].wants_key():
            self._key(self._open[-1], event)
        else:
            node = self._node(_resolve(event), raw)
            # A block's text begins on the line below its sign, unless the whole is on one line
            # of another file (an annotation).
            node.text_line = node.line + (event.style in ("|", ">") and not self._fixed)
            self._put(node, event.anchor)

    def _key(self, top: _Open, event: yaml.ScalarEvent) -> None:
        name = event.value
        top.merge = name == _MERGE and event.implicit[0]
        before = (top.mapping or {}).get(name)
        if before is not None and not top.merge:
            found = f"the key {quoted(name)} again (first on line {before.line})"
            self.refuse(found, "each key once", _below(top.node.field, name))
        top.key = name

    def alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        if name not in self._anchors:
            raise Unfit(f"the alias *{name}", f"an anchor &{name} before it")
        target = self._anchors[name]
        if target is None:
            raise Unfit(f"the alias *{name} inside itself", "no cycles")
        if self._open[-1].wants_key():
            raise Unfit(f"the alias *{name} as a key", "text as a key")
        self._put(self._copy(target, self._here()), None)

    def _copy(self, node: Node, field: str) -> Node:
        copy = self._node(None, node.raw)
        copy.field = field
        copy.line = node.line
        copy.text_line = node.text_line
        if isinstance(node.value, list):
            copy.value = [self._copy(n, f"{field}[{i}]") for i, n in enumerate(node.value)]
        elif isinstance(node.value, dict):
            copy.value = {k: self._copy(n, _below(field, k)) for k, n in node.value.items()}
        else:
            copy.value = node.value
        return copy

    def start(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag != "!":
            raise Unfit(f"the tag {_tag(event.tag)}", "no tags")
        if len(self._open) >= MAX_DEPTH:
            raise Unfit(f"nesting deeper than {MAX_DEPTH}", "a flatter document")
        if self._open and self._open[-1].wants_key():
            raise Unfit("a list or mapping as a key", "text as a key")
        items: list[Node] = []
        mapping: dict[str, Node] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        node = self._node(items if mapping is None else mapping)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor, items, mapping, []))

    def end(self, _event: object) -> None:
        done = self._open.pop()
        for other in done.merged:
            self._merge(done, other)
        self._put(done.node, done.anchor)

    def _merge(self, into: _Open, other: Node) -> None:
        for source in other.value if isinstance(other.value, list) else [other]:
            if not isinstance(source.value, dict) or into.mapping is None:
                raise Unfit("no mapping after <<", "a mapping, or a list of them")
            for key, node in source.value.items():
                if key not in into.mapping:
                    into.mapping[key] = self._copy(node, _below(into.node.field, key))

    def _put(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].put(node)
        else:
            self.root = node


_HANDLERS: dict[type[yaml.Event], Callable[[_Composer, Any], None]] = {
    yaml.DocumentStartEvent: _Composer.document,
    yaml.ScalarEvent: _Composer.scalar,
    yaml.AliasEvent: _Composer.alias,
    yaml.SequenceStartEvent: _Composer.start,
    yaml.MappingStartEvent: _Composer.start,
    yaml.SequenceEndEvent: _Composer.end,
    yaml.MappingEndEvent: _Composer.end,
}


def _events(text: str) -> Iterator[yaml.Event]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _below(field: str, key: str) -> str:
    return f"{field}.{key}" if field else key


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _resolve(event: yaml.ScalarEvent) -> bool | int | float | str | None:
    """Give a scalar's value; an explicit tag other than text's is refused."""
    raw: str = event.value
    if event.tag is not None and event.tag not in _TEXT_TAGS:
        raise Unfit(f"the tag {_tag(event.tag)}", "no tags")
    if not event.implicit[0] or event.tag is not None:
        return raw
    if raw in _NULL:
        return None
    if raw in _BOOL:
        return _BOOL[raw]
    if _INT.fullmatch(raw):
        return int(raw, 0)
    if raw in _NAN or _FLOAT.fullmatch(raw):
        return float(raw.replace(".", "", 1) if raw[-1].isalpha() else raw)
    return raw
