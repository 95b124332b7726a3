"""Kubernetes' quoted lines, against a reference of Go's strconv.Quote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import Problem
from emulator.model.decode import MAX_PROBLEMS
from emulator.sources.downward import parse

SHORT = {7: "a", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t", 11: "v", 92: "\\", 34: '"'}


def go_quote(text: str) -> str:
    r"""Quote as strconv.Quote: short escapes, \\x for ASCII controls, \\u and \\U, else itself."""
    out = []
    for char in text:
        code = ord(char)
        if code in SHORT:
            out.append("\\" + SHORT[code])
        elif char == " " or (unicodedata.category(char)[0] in "LMNPS"):
            out.append(char)
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif code < 0x10000:
            out.append(f"\\u{code:04x}")
        else:
            out.append(f"\\U{code:08x}")
    return f'"{"".join(out)}"'


def read(data: bytes) -> tuple[dict[str, tuple[int, str]], list[str]]:
    problems: list[Problem] = []
    return parse(data, "f", problems), [str(problem) for problem in problems]


@given(st.dictionaries(st.from_regex(r"[a-z0-9./_-]+", fullmatch=True), st.text(
    st.characters(exclude_categories=["Cs"]))))  # fmt: skip
def test_what_go_quotes_is_read_back(values: dict[str, str]) -> None:
    lines = "\n".join(f"{key}={go_quote(value)}" for key, value in sorted(values.items()))
    found, problems = read(lines.encode())
    assert problems == []
    assert {key: value for key, (_, value) in found.items()} == values
    assert [line for line, _ in found.values()] == list(range(1, len(values) + 1))


def test_bytes_are_joined_to_characters() -> None:
    assert read(rb'a="\xc3\xbc\u00fc\U0001f600\x41"') == ({"a": (1, "üü😀A")}, [])
    assert read(b'\na=""\n\nb="=\\""\n') == ({"a": (2, ""), "b": (4, '="')}, [])


LINE = 'allowed: key="value", quoted as Kubernetes does'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a", f'f:1: found the line "a"; {LINE}'),
        (b'a="b', f'f:1: found the line "a=\\"b"; {LINE}'),
        (b'a="b" c', f'f:1: found the line "a=\\"b\\" c"; {LINE}'),
        (b'ok=""\n="b"', f'f:2: found the line "=\\"b\\""; {LINE}'),
        (rb'a="\q"', f'f:1: found the unknown escape "\\\\q"; {LINE}'),
        (rb'a="\xZZ"', f'f:1: found the unknown escape "\\\\x"; {LINE}'),
        (rb'a="\ud800"', f"f:1: found the escape \\ud800, which is no character; {LINE}"),
        (rb'a="\Uffffffff"', f"f:1: found the escape \\Uffffffff, which is no character; {LINE}"),
        (rb'a="\xff"', f"f:1: found bytes that are not UTF-8 in the value of a; {LINE}"),
        (b'a="\xff"', f"f:1: found bytes that are not UTF-8; {LINE}"),
        (b'a="1"\na="2"', "f:2: a: found a again (first on line 1); allowed: each key once"),
    ],
)
def test_mistakes(data: bytes, expected: str) -> None:
    assert read(data)[1] == [expected]


@given(st.binary())
def test_any_bytes_give_values_or_problems(data: bytes) -> None:
    found, problems = read(data)
    lines = sum(bool(line.strip()) for line in data.split(b"\n"))
    assert len(found) + len(problems) >= min(lines, MAX_PROBLEMS)
