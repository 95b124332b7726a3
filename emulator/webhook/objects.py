"""Looks into objects that may be of any shape, and makes changed ones without touching them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from emulator.webhook.verdict import Cause, Object

Shape = Literal["a mapping", "a list of mappings", "text"]


def at(whole: object, *path: str) -> Any:  # noqa: ANN401 - whatever is there
    """Give what is at ``path``; None where there is nothing."""
    for name in path:
        if not isinstance(whole, dict):
            return None
        whole = whole.get(name)
    return whole


def mapping(whole: object, *path: str) -> Object:
    """Give the mapping at ``path``; an empty one where there is none."""
    found = at(whole, *path)
    return found if isinstance(found, dict) else {}


def items(whole: object, *path: str) -> list[Object]:
    """Give the mappings in the list at ``path``; none where there is no list."""
    found = at(whole, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(whole: object, *path: str) -> str:
    """Give the text at ``path``; an empty one where there is none."""
    found = at(whole, *path)
    return found if isinstance(found, str) else ""


def put(whole: Object, path: Sequence[str], value: object) -> Object:
    """Give a copy of ``whole`` with ``value`` at ``path``.

    What is not on the way is shared with ``whole``. Mappings on the way that are missing or null
    are made; those that are there must be mappings.
    """
    name, *below = path
    if below:
        inside = whole.get(name)
        value = put({} if inside is None else inside, below, value)
    return {**whole, name: value}


def misshapen(whole: object, shapes: Mapping[str, Shape], place: str = "") -> list[Cause]:
    """Give a cause for each dotted path of ``shapes`` at which something else is found.

    Nothing and null pass. A path below one that is misshapen is not looked at.
    """
    causes: list[Cause] = []
    for path, shape in shapes.items():
        found = at(whole, *path.split("."))
        if found is not None and not _is(found, shape):
            causes.append(Cause(f"{place}{path}", f"found {kind_of(found)}; allowed: {shape}"))
    return causes


def kind_of(value: object) -> str:
    """Say what JSON ``value`` is, without showing it."""
    if isinstance(value, bool):
        return "true or false without quotes"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "nothing"


def _is(value: object, shape: Shape) -> bool:
    if shape == "a list of mappings":
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict if shape == "a mapping" else str)
