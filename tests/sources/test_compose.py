"""YAML becomes nodes with lines, under limits, or problems; never anything else."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigError
from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import Node, plain
from emulator.sources import compose as module
from emulator.sources.compose import MAX_DEPTH, MAX_NODES, MAX_TEXT, compose


def value(text: str) -> Any:
    return plain(compose(text, "f"))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose(text, "f")
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("[true, Yes, ON, false, No, off]", [True, True, True, False, False, False]),
        ("[y, n, yEs]", ["y", "n", "yEs"]),
        ("[0, -7, +7, 0x1f, 123]", [0, -7, 7, 31, 123]),
        ("[010, 1_000, 0b1, 0o7, 52:54:00:12:34:56, 1:30.5]",
         ["010", "1_000", "0b1", "0o7", "52:54:00:12:34:56", "1:30.5"]),
        ("[1.5, -0.5, .5, 1e3, 1.e-2]", [1.5, -0.5, 0.5, 1000.0, 0.01]),
        ("[2026-11-22, 2026-11-22 10:00:00, =]", ["2026-11-22", "2026-11-22 10:00:00", "="]),
        ("['1', \"on\", !!str 2, ! 3]", ["1", "on", "2", "3"]),
        ("{1: a, on: b, ~: c, '<<': d}", {"1": "a", "on": "b", "~": "c", "<<": "d"}),
        ("a: &x {k: 1}\nb: *x", {"a": {"k": 1}, "b": {"k": 1}}),
        ("a: &x [1, {b: 2}]\nb: [*x, *x]", {"a": [1, {"b": 2}], "b": [[1, {"b": 2}]] * 2}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", {"a": {"k": 1, "l": 2}, "b": {"l": 3, "k": 1}}),
        ("a: &x {k: 1}\nb: {<<: [*x, {k: 2, m: 3}]}", {"a": {"k": 1}, "b": {"k": 1, "m": 3}}),
        ("a: |\n  b\n   c\n", {"a": "b\n c\n"}),
        ("a: >-\n  b\n  c\n", {"a": "b c"}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_values(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [(".inf", "inf"), ("-.Inf", "-inf"), (".nan", "nan")]
)
def test_numbers_that_json_has_no_word_for(text: str, expected: str) -> None:
    assert str(compose(text, "f").value) == expected


def test_nodes_know_where_they_stand() -> None:
    root = compose("a:\n  - 1\n  - b: &x\n      c: on\nd: *x\n", "f.yaml")
    seen: list[tuple[str, int, str]] = []

    def walk(node: Node) -> None:
        assert node.file == "f.yaml"
        seen.append((node.field, node.line, node.raw))
        if isinstance(node.value, dict):
            for child in node.value.values():
                walk(child)
        elif isinstance(node.value, list):
            for child in node.value:
                walk(child)

    walk(root)
    assert seen == [
        ("", 1, ""),
        ("a", 2, ""),
        ("a[0]", 2, "1"),
        ("a[1]", 3, ""),
        ("a[1].b", 3, ""),
        ("a[1].b.c", 4, "on"),
        ("d", 3, ""),
        ("d.c", 4, "on"),
    ]


def test_an_annotation_is_one_line_of_its_file() -> None:
    root = compose("- a\n- b: c\n", "f", line=7, field="ann")
    assert isinstance(root.value, list)
    inner = root.value[1].value
    assert isinstance(inner, dict)
    assert (inner["b"].line, inner["b"].field) == (7, "ann[1].b")
    with pytest.raises(ConfigError, match=r"f:7: ann\[0\]: found broken YAML"):
        compose("\n\n[", "f", line=7, field="ann")


def broken(line: int, field: str, how: str) -> str:
    where = f"{field}: " if field else ""
    return f"{line}: {where}found broken YAML ({how}); allowed: YAML"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n--- {}", "2: found a second document (---); allowed: one document in each file"),
        ("a: &x [*x]", "1: a[0]: found the alias *x inside itself; allowed: no cycles"),
        ("a: &x {b: {c: *x}}", "1: a.b.c: found the alias *x inside itself; allowed: no cycles"),
        ("a: *x", "1: a: found the alias *x; allowed: an anchor &x before it"),
        ("a: &x b\n*x : 1", "2: found the alias *x as a key; allowed: text as a key"),
        ("? [a]\n: b", "1: found a list or mapping as a key; allowed: text as a key"),
        ("a: !!binary AAAA", "1: a: found the tag !!binary; allowed: no tags"),
        ("a: !x {b: c}", "1: a: found the tag !x; allowed: no tags"),
        ("a: !!python/object/apply:os.system [id]",
         "1: a: found the tag !!python/object/apply:os.system; allowed: no tags"),
        ("a: {<<: b}", "1: a: found no mapping after <<; allowed: a mapping, or a list of them"),
        ("a: {<<: [b]}", "1: a: found no mapping after <<; allowed: a mapping, or a list of them"),
        ('a: "\\uD800"', broken(1, "a", "found invalid Unicode character escape code")),
        ("a: 1\n  b: 2", broken(2, "", "mapping values are not allowed in this context")),
        ("a: 'b", broken(1, "a", "found unexpected end of stream")),
        ("\ta: b", broken(1, "", "found character that cannot start any token")),
        ("a: b\nc: \x00", ("2: found a character that YAML forbids"
                         " (control characters are not allowed); allowed: printable text")),
    ],
)  # fmt: skip
def test_mistakes(text: str, expected: str) -> None:
    assert problems(text) == [f"f:{expected}"]


def test_every_duplicate_key_is_named() -> None:
    assert problems("a: 1\nb: {c: 2, c: 3}\na: 3\n") == [
        'f:2: b.c: found the key "c" again (first on line 2); allowed: each key once',
        'f:3: a: found the key "a" again (first on line 1); allowed: each key once',
    ]


def test_not_more_problems_are_named_than_somebody_reads() -> None:
    assert len(problems("a: b\n" * 10_000)) == MAX_PROBLEMS


def test_nesting_is_bounded_whatever_its_depth() -> None:
    for opening in ("[", "{a: ", "- ", "? "):
        [found] = problems(opening * 200_000)
        # PyYAML has a limit of its own from 6.0.4 on, which what opens at once meets first.
        said = (f"found nesting deeper than {MAX_DEPTH}", "as a key", "maximum nesting depth")
        assert any(words in found for words in said)
    assert value("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None


def test_aliases_are_paid_for_like_what_they_repeat() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 12):
        bomb += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    started = time.monotonic()
    [found] = problems(bomb)
    assert f"found more than {MAX_NODES} values" in found
    assert time.monotonic() - started < 10


def test_long_texts_are_paid_for_too() -> None:
    text = f"a: &x {'y' * (1 << 20)}\nb: [{', '.join(['*x'] * 40)}]\n"
    assert problems(text) == [
        (
            f"f:2: b[31]: found more than {MAX_TEXT} characters; "
            "allowed: a smaller document (an alias counts as what it repeats)"
        )
    ]


def test_many_values_are_refused() -> None:
    [found] = problems("[" + "a," * (MAX_NODES + 1) + "]")
    assert f"more than {MAX_NODES} values" in found


def test_the_pure_parser_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1, on, {b: 'c'}]\nd: &x |\n  e\nf: *x\n"
    fast = value(text)
    monkeypatch.setattr(module, "_LOADER", yaml.SafeLoader)
    assert value(text) == fast
    assert problems('a: "\\uD800"') == [
        "f:1: a: found half of a surrogate pair; allowed: text that UTF-8 can carry"
    ]
    [found] = problems("a: b\n\nc: \x00")
    assert found.startswith("f:3: found a character that YAML forbids (special characters")


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`,? \n\t0<.~\\") | st.characters()))
def test_garbage_gives_a_tree_or_problems(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # no file that is UTF-8 has lone surrogates
    with contextlib.suppress(ConfigError):
        compose(text, "f")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"])), inner, max_size=4
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_what_pyyaml_writes_is_read_back(tree: object) -> None:
    # Quoted, for 1.1 and 1.2 differ in what else than text a plain word is.
    text = yaml.safe_dump(tree, allow_unicode=True, default_style='"')
    assert value(re.sub(r'!!(int|null|bool) "([^"]*)"', r"\2", text)) == tree
