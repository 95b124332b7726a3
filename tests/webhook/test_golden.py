"""Whole objects of KubeVirt, as they come and as they are let in."""

from __future__ import annotations

import copy

import pytest

from tests.webhook.support import FIXTURES, fixture, mutated, patched, request, validated

CHANGED = ".changed"
GIVEN = sorted(
    str(path.relative_to(FIXTURES).with_suffix(""))
    for path in FIXTURES.glob("*/*.yaml")
    if not path.stem.endswith(CHANGED)
)


@pytest.mark.parametrize("name", GIVEN)
def test_it_becomes_what_is_written_beside_it(name: str) -> None:
    given = fixture(name)
    before = copy.deepcopy(given)
    verdict = mutated(given)
    assert verdict.causes == ()
    expected = fixture(name + CHANGED) if (FIXTURES / f"{name}{CHANGED}.yaml").exists() else given
    assert verdict.object == expected
    assert patched(given, request(given), verdict) == expected
    assert given == before  # asked twice, the API server sends what it has


@pytest.mark.parametrize("name", GIVEN)
def test_nothing_is_left_to_do(name: str) -> None:
    changed = mutated(fixture(name)).object
    again = mutated(changed)
    assert again.object is changed
    assert again.causes == ()


@pytest.mark.parametrize("name", GIVEN)
def test_it_is_valid_then(name: str) -> None:
    changed = mutated(fixture(name)).object
    verdict = validated(changed)
    assert verdict.causes == ()
    assert verdict.object is changed


def test_only_a_template_without_a_wish_stays_as_it_is() -> None:
    unchanged = [n for n in GIVEN if not (FIXTURES / f"{n}{CHANGED}.yaml").exists()]
    assert unchanged == ["machine/default"]


def test_every_golden_object_has_its_original() -> None:
    golden = {
        str(path.relative_to(FIXTURES))[: -len(f"{CHANGED}.yaml")]
        for path in FIXTURES.glob(f"*/*{CHANGED}.yaml")
    }
    assert golden < set(GIVEN)
