"""Every mistake that a description can have, with the exact words about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LINE = "1 to 255 characters on one line"
HOST = (
    "letters, digits and inner hyphens, at most 63 in each part between dots, at most 253 in all"
)
DOCUMENT = "a mapping with name and other fields"


def table() -> Iterator[tuple[str, tuple[str, str]]]:
    """Read the table: text files have no width."""
    text = Path(__file__).with_name("mistakes.txt").read_text()
    for block in text.split("\n-- ")[1:]:
        name, _, rest = block.partition("\n")
        written, _, said = rest.partition("\n=> ")
        yield name, (written, said.strip())


LARGE = {
    "long text": (
        f"type: {'x' * 300}",
        f'2: type: found "{"x" * 60}"... (300 characters); allowed: {LINE}',
    ),
    "host label": (
        f"hostname: {'a' * 64}",
        f'2: hostname: found "{"a" * 60}"... (64 characters); allowed: {HOST}',
    ),
    "host length": (
        f"hostname: {'.'.join(['abcdefgh'] * 30)}",
        (
            f'2: hostname: found "{".".join(["abcdefgh"] * 7)[:60]}"... (269 characters); '
            f"allowed: {HOST}"
        ),
    ),
    "tag key": (
        f"meta:\n  {'k' * 256}: b",
        f'3: meta.{"k" * 256}: found "{"k" * 60}"... (256 characters); allowed: {LINE}',
    ),
    "too many tags": (
        "tags: {" + ", ".join(f"k{n}: v" for n in range(129)) + "}",
        "2: tags: found 129 entries; allowed: a mapping of at most 128 entries",
    ),
    "vendor_data2 size": (
        f"vendor_data2: {{a: {'x' * (1 << 20)}}}",
        "2: vendor_data2: found 1048584 bytes of JSON; allowed: at most 1048576 bytes",
    ),
    "content size": (
        f"files:\n  - path: /a\n    content: {'x' * ((1 << 20) + 1)}",
        "4: files[0].content: found 1048577 bytes; allowed: at most 1048576 bytes",
    ),
    "peer socket": (
        f"peer:\n  socket: {'s' * 120}",
        (
            f'3: peer.socket: found "/base/{"s" * 54}"... (126 characters); '
            "allowed: a path of at most 107 bytes, as the kernel takes"
        ),
    ),
}
FIELDS = dict(table()) | LARGE


@pytest.mark.parametrize(
    ("text", "found"), [("", "an empty document"), ("- a", "a list"), ("web", '"web"')]
)
def test_a_document_that_is_none(
    text: str, found: str, problems: Callable[[str], list[str]]
) -> None:
    assert problems(text) == [f"vm.yaml:1: found {found}; allowed: {DOCUMENT}"]


def test_a_name_is_needed(problems: Callable[[str], list[str]]) -> None:
    assert problems("type: a") == ["vm.yaml:1: name: found nothing; allowed: the machine's name"]


@pytest.mark.parametrize(("text", "expected"), FIELDS.values(), ids=FIELDS)
def test_one_mistake_gives_one_message(
    text: str, expected: str, problems: Callable[[str], list[str]]
) -> None:
    assert problems(f"name: vm\n{text}\n") == [f"vm.yaml:{expected}"]


def test_the_table_is_read_whole() -> None:
    assert len(FIELDS) > 140
