"""Puts items into a list of an object so that doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from emulator.webhook.objects import items, put
from emulator.webhook.verdict import Object

# What tells the items of these lists apart.
_KEYS = {"env": "name", "volumeMounts": "mountPath"}


def merged(
    whole: Object, path: Sequence[str], wanted: list[Object], *, keep: Collection[str] = ()
) -> Object:
    """Give ``whole`` with each of ``wanted`` in the list at ``path``, by name.

    One that is there and says the same is left, with what others have added: the API server calls
    again after other webhooks, and has then filled in defaults. One that differs is set right in
    its place, but for its fields in ``keep``. The others are appended.
    """
    before = items(whole, *path)
    after = _merged(before, wanted, "name", keep)
    return whole if after is before else put(whole, path, after)


def _merged(
    before: list[Object], wanted: list[Object], key: str, keep: Collection[str] = ()
) -> list[Object]:
    places = {one.get(key): index for index, one in enumerate(before)}
    after = before
    for item in wanted:
        index = places.get(item[key])
        if index is None:
            after = [*after, item]
            continue
        right = _right(after[index], {k: v for k, v in item.items() if k not in keep})
        if right is not after[index]:
            after = [*after[:index], right, *after[index + 1 :]]
    return after


def _right(present: Object, wanted: Object) -> Object:
    """Give ``present`` with what ``wanted`` says; itself if it says that already."""
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        there = present.get(name)
        if name in _KEYS and isinstance(there, list):
            inside = items(present, name)
            right = _merged(inside, value, _KEYS[name])
            if right is not inside:
                changes[name] = right
        elif not _says(there, value):
            changes[name] = value
    return {**present, **changes} if changes else present


def _says(present: object, wanted: object) -> bool:
    """Say whether ``present`` has all that ``wanted`` has, and maybe more in its mappings."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            name in present and _says(present[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(present) == len(wanted)
            and all(map(_says, present, wanted))
        )
    return type(present) is type(wanted) and present == wanted
