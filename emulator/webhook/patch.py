"""The difference between two JSON values as a JSON patch (RFC 6902), and no more than that."""

from __future__ import annotations

from typing import Any, TypeAlias

Operation: TypeAlias = dict[str, Any]


def difference(old: object, new: object) -> list[Operation]:
    """Give the operations that make ``new`` of ``old``, in the order in which to apply them.

    Lists are compared item by item: what stands behind the end of the shorter one is added or
    removed. Nothing else is named that both have, so changes by others in between stay.
    """
    operations: list[Operation] = []
    _compare(old, new, "", operations)
    return operations


def _compare(old: object, new: object, path: str, operations: list[Operation]) -> None:
    # Changed objects share what did not change: nothing is compared that is the same.
    if old is new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        _mappings(old, new, path, operations)
    elif isinstance(old, list) and isinstance(new, list):
        _lists(old, new, path, operations)
    elif type(old) is not type(new) or old != new:  # true is not 1
        operations.append({"op": "replace", "path": path, "value": new})


def _mappings(
    old: dict[str, Any], new: dict[str, Any], path: str, operations: list[Operation]
) -> None:
    for name, value in old.items():
        below = f"{path}/{_escaped(name)}"
        if name in new:
            _compare(value, new[name], below, operations)
        else:
            operations.append({"op": "remove", "path": below})
    operations += [
        {"op": "add", "path": f"{path}/{_escaped(name)}", "value": value}
        for name, value in new.items()
        if name not in old
    ]


def _lists(old: list[Any], new: list[Any], path: str, operations: list[Operation]) -> None:
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        _compare(before, after, f"{path}/{index}", operations)
    operations += [{"op": "add", "path": f"{path}/-", "value": item} for item in new[len(old) :]]
    # From the end, so that no index changes before it is used.
    operations += [
        {"op": "remove", "path": f"{path}/{index}"}
        for index in range(len(old) - 1, len(new) - 1, -1)
    ]


def _escaped(name: str) -> str:
    """Escape what JSON pointers (RFC 6901) give a meaning."""
    return name.replace("~", "~0").replace("/", "~1")
