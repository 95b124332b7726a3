"""Jinja's sandbox, bounded in time too, and in what a single operation can grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Documents take a hundredth of it. It is this thread's processor time, which no test fakes.
MOST_SECONDS = 2.0
LONGEST_TEXT = 16 << 20
MOST_BITS = 4096

_started = threading.local()


def begin() -> None:
    """Start to count the time that a document takes to render."""
    _started.at = time.thread_time()


def check_time() -> None:
    """Raise ``SecurityError`` once a document has taken too long."""
    if time.thread_time() - _started.at > MOST_SECONDS:
        raise SecurityError(f"it takes more than {MOST_SECONDS:.0f} s of processor time")


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which a loop of one owner's cannot stop the server for all others.

    The time is looked at in each round of each loop and after each piece of output; ``*``, ``**``,
    ``+`` and ``~`` are refused where their result would be enormous.
    """

    intercepted_binops = frozenset({"*", "**", "+"})

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Jinja's own
        """Take Jinja's options."""
        super().__init__(**options)
        self.filters.update({"watched": _watched, "joined": _joined})

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

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        """Carry out an operation, unless its result would be enormous."""
        if _grows(operator, left, right):
            raise SecurityError(f"{operator} makes something enormous")
        return super().call_binop(context, operator, left, right)


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _watched(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        check_time()
        yield value


def _joined(parts: list[object]) -> str:
    texts = [str(part) for part in parts]
    if sum(map(len, texts)) > LONGEST_TEXT:
        raise SecurityError("~ makes something enormous")
    return "".join(texts)


def _grows(operator: str, left: object, right: object) -> bool:
    if operator == "**":
        if not (isinstance(left, int) and isinstance(right, int)):
            return False
        return abs(right) * left.bit_length() > MOST_BITS
    sizes = [len(side) for side in (left, right) if isinstance(side, str | bytes | list | tuple)]
    times = [side for side in (left, right) if isinstance(side, int)]
    if operator == "*" and sizes and times:
        return sizes[0] * times[0] > LONGEST_TEXT
    return sum(sizes) > LONGEST_TEXT
