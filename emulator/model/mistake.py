"""A mistake in a value, before it is known where in a file the value stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from emulator.model.document import quoted


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong at ``path`` (``interfaces[0].mac``), in the halves of a problem's sentence."""

    path: str
    found: str
    allowed: str

    @classmethod
    def at(cls, path: str, value: str, allowed: str) -> Mistake:
        """Make one whose finding is the text that stands there, ``nothing`` for an empty one."""
        return cls(path, quoted(value) if value else "nothing", allowed)


def again(values: Iterable[tuple[str, str]], allowed: str) -> Iterator[Mistake]:
    """Give a mistake for each of ``values``, pairs of path and text, whose text came before."""
    first: dict[str, str] = {}
    for path, value in values:
        before = first.setdefault(value, path)
        if before != path:
            yield Mistake(path, f"{quoted(value)} again (as {before})", allowed)


def numbered(path: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pair each of ``values`` with ``path``, in which ``{}`` becomes its index."""
    return ((path.format(index), value) for index, value in enumerate(values))
