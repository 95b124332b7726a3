"""A document's parts: each has a path, and its forms are made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.message import JSON, Outcome, Reply, Request
from emulator.core.pages import Pages, tag
from emulator.core.refusal import Refusal
from tests.support.guest import Guest, header

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/meta/v1"


class Plain(Pages):
    """Gives parts as JSON, in one form or another, and counts what it makes."""

    made = 0

    def asked(self, path: str, query: str) -> Outcome:
        return Refusal.BAD_QUERY if query == "bad" else self.page(path, query).answer

    def form(self, path: str, node: object, form: str) -> Reply:
        self.made += 1
        own = (("X-Form", form),) if form else ()
        return Reply(200, msgspec.json.encode(node), JSON, own)


class Untagged(Plain):
    """Says nothing of its tags."""

    tag_header = ""


class Halved(Plain):
    """Keeps what is below ``closed`` to itself."""

    def below(self, name: str, node: object) -> Iterator[tuple[str, object]]:
        if name != "closed":
            yield from super().below(name, node)


TREE = {"a": {"b": 1, "c": None}, "list": [{"x": "y"}, "z"], "closed": {"in": 1}, "": 0}


def ask(pages: Pages, path: str, query: str = "") -> Outcome:
    return pages(Request("GET", path, query, HTTPHeaders()), Guest("name: vm\n"))


def test_every_part_but_what_is_absent_has_a_path() -> None:
    assert list(Plain(ROOT, TREE, ()).paths()) == [
        ROOT,
        *(
            f"{ROOT}/{path}"
            for path in (
                "a",
                "a/b",
                "list",
                "list/0",
                "list/0/x",
                "list/1",
                "closed",
                "closed/in",
                "",
            )
        ),
    ]


def test_a_dialect_may_say_what_is_below() -> None:
    pages = Halved(ROOT, TREE, ())
    assert f"{ROOT}/closed" in pages.paths()
    assert f"{ROOT}/closed/in" not in pages.paths()
    # The root has a name too, and so it can be closed itself.
    assert list(Halved("/closed", TREE, ()).paths()) == ["/closed"]


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("", TREE),
        ("/a", {"b": 1, "c": None}),
        ("/a/b", 1),
        ("/list/1", "z"),
        ("/list/0/x", "y"),
        ("/", 0),
    ],
)
def test_a_path_leads_to_its_part(path: str, node: object) -> None:
    pages = Plain(ROOT, TREE, ())
    assert pages.node(ROOT + path) == node
    assert pages.page(ROOT + path, "").answer.body == msgspec.json.encode(node)


def test_what_is_asked_is_answered_or_refused() -> None:
    pages = Plain(ROOT, TREE, ())
    assert ask(pages, f"{ROOT}/a/b") == pages.page(f"{ROOT}/a/b", "").answer
    assert ask(pages, ROOT, "bad") is Refusal.BAD_QUERY


def test_a_form_is_made_once() -> None:
    pages = Plain(ROOT, TREE, ())
    first = pages.page(ROOT, "one")
    assert pages.made == 1
    assert pages.page(ROOT, "one") is first
    assert pages.made == 1
    other = pages.page(ROOT, "other")
    assert pages.made == 2
    assert other.tag == first.tag
    assert header(other.answer, "X-Form") == "other"


def test_an_answer_has_the_common_headers_and_its_tag() -> None:
    page = Plain(ROOT, TREE, (("Server", "s"),)).page(f"{ROOT}/a", "one")
    assert page.answer.status == 200
    assert header(page.answer, "Server") == "s"
    assert header(page.answer, "X-Form") == "one"
    assert header(page.answer, "Content-Type") == JSON
    assert header(page.answer, "ETag") == page.tag == tag(page.answer.body)


def test_a_dialect_may_keep_its_tags_to_itself() -> None:
    page = Untagged(ROOT, TREE, ()).page(ROOT, "")
    assert page.tag == Plain(ROOT, TREE, ()).page(ROOT, "").tag
    assert page.answer.head == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_tags_are_equal_for_equal_bytes(one: bytes, other: bytes) -> None:
    assert (tag(one) == tag(other)) == (one == other)
    assert len(tag(one)) == 16
    assert int(tag(one), 16) >= 0


names = st.text("abc-", min_size=1, max_size=3)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda below: st.dictionaries(names, below, max_size=3) | st.lists(below, max_size=3),
    max_leaves=12,
)


def follow(tree: Any, path: str) -> Any:
    """Find the part at ``path`` in the plainest way."""
    for name in path.removeprefix(ROOT).split("/")[1:]:
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree


def count(node: Any) -> int:
    """Count the parts of a document, itself among them."""
    if isinstance(node, dict):
        return 1 + sum(count(value) for value in node.values() if value is not None)
    return 1 + (sum(map(count, node)) if isinstance(node, list) else 0)


@given(trees)
def test_paths_and_parts_are_the_same_thing(tree: Any) -> None:
    pages = Plain(ROOT, tree, ())
    paths = list(pages.paths())
    assert len(set(paths)) == len(paths) == count(tree)
    for path in paths:
        assert pages.node(path) is follow(tree, path)
