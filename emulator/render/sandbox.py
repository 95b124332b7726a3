"""Jinja's sandbox, bounded in time too, and in what a document's operations can make."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Documents take a hundredth of it. It is this thread's processor time, which no test fakes.
MOST_SECONDS = 2.0
# What all operations of one document may make together: characters, or members of a list.
MOST_MADE = 32 << 20
MOST_BITS = 4096

# Filters that make much of little, and that no document needs.
_DROPPED = ("batch", "center", "format", "slice", "urlize", "wordwrap", "xmlattr")
# Methods of texts for which that is true; `replace` and `join` there are as the filters.
_REFUSED = frozenset(
    {"center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill"}
)

_document = threading.local()


def begin() -> None:
    """Start to count the time and the size that a document takes to render."""
    _document.started = time.thread_time()
    _document.made = 0


def check_time() -> None:
    """Raise ``SecurityError`` once a document has taken too long."""
    if time.thread_time() - _document.started > MOST_SECONDS:
        raise SecurityError(f"it takes more than {MOST_SECONDS:.0f} s of processor time")


def check_size(size: int) -> None:
    """Count something of ``size`` before it is made; raise ``SecurityError`` for too much."""
    _document.made += size
    if _document.made > MOST_MADE:
        raise SecurityError("it makes something enormous")


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which one owner's template cannot stop or fill the server for all others.

    The time is looked at in each round of each loop, at each call and after each piece of output;
    what operators, filters and methods make is counted before it is made.
    """

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Jinja's own
        """Take Jinja's options."""
        super().__init__(**options)
        for name in _DROPPED:
            del self.filters[name]
        self.filters.update(
            watched=_watched, joined=_joined, join=_join, replace=_replace, indent=_indent
        )

    def compile(self, source: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """Compile with every loop and every concatenation watched."""
        if isinstance(source, str):
            name, filename = (*arguments, None, None)[:2]
            source = self.parse(source, name, filename)
            for loop in list(source.find_all(nodes.For)):
                loop.iter = _filtered(loop.iter, "watched")
            for joint in list(source.find_all(nodes.Concat)):
                joint.nodes = [_filtered(nodes.List(joint.nodes, lineno=joint.lineno), "joined")]
        return super().compile(source, *arguments, **options)

    def call(self, context: Context, obj: Any, /, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        """Call something, if there is time left."""
        check_time()
        return super().call(context, obj, *arguments, **named)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
        """Refuse the methods of texts that make much of little."""
        if isinstance(obj, str | bytes) and attr in _REFUSED | {"join", "replace"}:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Carry out an operation, unless its result would be enormous."""
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("% makes no texts here; use ~")
        check_size(_result(operator, left, right))
        return super().call_binop(context, operator, left, right)


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _watched(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        check_time()
        yield value


def _joined(parts: list[object]) -> str:
    return _join(parts)


def _join(values: Iterable[object], d: str = "", attribute: str | None = None) -> str:
    """Join the texts of ``values``; Jinja's own takes an attribute, which ``map`` does too."""
    if attribute is not None:
        raise SecurityError("join takes no attribute here; use map(attribute=...) before it")
    texts = []
    for value in _watched(values):
        texts.append(str(value))
        check_size(len(texts[-1]) + len(d))
    return d.join(texts)


def _replace(s: object, old: str, new: str, count: int = -1) -> str:
    text = str(s)
    check_size(len(text) + (text.count(old) if count < 0 else count) * len(new))
    return text.replace(old, new, count)


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - Jinja's own
    check_size(len(s) + (s.count("\n") + 2) * (width if isinstance(width, int) else len(width)))
    return do_indent(s, width, first, blank)


def _result(operator: str, left: object, right: object) -> int:
    """Say how large the result of an operation will be, at least."""
    if operator == "**":
        if not (isinstance(left, int) and isinstance(right, int)):
            return 0
        return MOST_MADE + 1 if abs(right) * left.bit_length() > MOST_BITS else 0
    sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
    times = [side for side in (left, right) if isinstance(side, int)]
    if operator == "*" and sizes and times:
        return sizes[0] * max(times[0], 0)
    return sum(sizes)
