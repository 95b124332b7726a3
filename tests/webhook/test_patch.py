"""The difference of two values, applied by somebody else's implementation."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.webhook.patch import difference

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b"])
names = st.sampled_from(["a", "b/c", "~d", "~1", "é", ""])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


def same(one: Any, other: Any) -> bool:
    """Say whether both are the same JSON: to Python true is 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(documents, documents)
def test_it_makes_the_new_one_of_the_old_one(old: Any, new: Any) -> None:
    operations = difference(old, new)
    assert same(jsonpatch.apply_patch(copy.deepcopy(old), operations), new)


@given(documents)
def test_there_is_none_between_equals(document: Any) -> None:
    assert difference(document, copy.deepcopy(document)) == []


@pytest.mark.parametrize(
    ("old", "new", "operations"),
    [
        ({}, {"a": {"b": 1}}, [{"op": "add", "path": "/a", "value": {"b": 1}}]),
        ({"a": None}, {"a": {}}, [{"op": "replace", "path": "/a", "value": {}}]),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, [{"op": "add", "path": "/a/y", "value": 2}]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [
            {"op": "replace", "path": "/a/1", "value": 3},
            {"op": "add", "path": "/a/-", "value": 4},
        ]),
        ([1, 2, 3], [1], [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}]),
        ({"a": 1}, {}, [{"op": "remove", "path": "/a"}]),
        ({}, {"x~y/z": 1}, [{"op": "add", "path": "/x~0y~1z", "value": 1}]),
        (1, True, [{"op": "replace", "path": "", "value": True}]),
    ],
)  # fmt: skip
def test_it_is_as_short_as_can_be(old: Any, new: Any, operations: list[Any]) -> None:
    assert difference(old, new) == operations
    assert same(jsonpatch.apply_patch(old, operations), new)
