"""Prometheus's text format (version 0.0.4), written from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

TYPE = "text/plain; version=0.0.4; charset=utf-8"

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


def text(families: Iterable[Family], found: Mapping[str, Series]) -> bytes:
    """Write ``families`` with the series that were ``found`` by name; one without is left out."""
    lines: list[str] = []
    for family in families:
        series = found.get(family.name)
        if series:
            lines.append(f"# HELP {family.name} {family.help}")
            lines.append(f"# TYPE {family.name} {family.type}")
            for values, value in series.items():
                pairs = list(zip(family.labels, values, strict=True))
                lines += _lines(family.name, pairs, value)
    return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")


def _lines(name: str, pairs: list[tuple[str, str]], value: Value) -> Iterable[str]:
    if not isinstance(value, Buckets):
        yield f"{name}{_labelled(pairs)} {value}"
        return
    bounds = (*(str(bound) for bound in value.bounds), "+Inf")
    totals = list(accumulate(value.counts))
    for bound, total in zip(bounds, totals, strict=True):
        yield f"{name}_bucket{_labelled([*pairs, ('le', bound)])} {total}"
    yield f"{name}_sum{_labelled(pairs)} {value.sum}"
    yield f"{name}_count{_labelled(pairs)} {totals[-1]}"


def _labelled(pairs: list[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""
