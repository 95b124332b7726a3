"""Prometheus's text format (version 0.0.4), written from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Lines that are written without a pause: a fraction of a millisecond.
_PIECE = 200

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family(msgspec.Struct, frozen=True):
    """Series of one name; ``labels`` are the names of theirs."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


class Buckets(msgspec.Struct, frozen=True):
    """A histogram: observations by bucket, the last one without a bound, and their sum."""

    bounds: tuple[float, ...]
    counts: Sequence[int]
    sum: float


Value = float | Buckets
Series = Mapping[tuple[str, ...], Value]


Found = Iterable[tuple[Family, Series]]


def text(found: Found) -> bytes:
    """Write what was ``found``; families without series are left out."""
    return b"".join(pieces(found))


def pieces(found: Found) -> Iterator[bytes]:
    """Write it in pieces, between which others can have their turn."""
    lines: list[str] = []
    for family, series in found:
        if series:
            lines.append(f"# HELP {family.name} {family.help}")
            lines.append(f"# TYPE {family.name} {family.type}")
        head = _head(family.name, family.labels)
        for values, value in series.items():
            if isinstance(value, Buckets):
                lines += _histogram(family, values, value)
            else:
                lines.append(head % (*map(_escaped, values), value))
            if len(lines) >= _PIECE:
                yield _encoded(lines)
                lines = []
    yield _encoded(lines)


def _encoded(lines: list[str]) -> bytes:
    return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")


def _histogram(family: Family, values: tuple[str, ...], value: Buckets) -> Iterable[str]:
    given = tuple(map(_escaped, values))
    bounds = (*(str(bound) for bound in value.bounds), "+Inf")
    totals = list(accumulate(value.counts))
    bucket = _head(f"{family.name}_bucket", (*family.labels, "le"))
    for bound, total in zip(bounds, totals, strict=True):
        yield bucket % (*given, bound, total)
    yield _head(f"{family.name}_sum", family.labels) % (*given, value.sum)
    yield _head(f"{family.name}_count", family.labels) % (*given, totals[-1])


def _head(name: str, labels: tuple[str, ...]) -> str:
    inside = ",".join(f'{label}="%s"' for label in labels)
    return f"{name}{{{inside}}} %s" if inside else f"{name} %s"


def _escaped(text: str) -> str:
    return text if text.isalnum() else text.translate(_ESCAPES)
