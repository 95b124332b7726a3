"""``emulator.render.joined``: what several dialects have at one path is one document."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Reply, Request, build
from emulator.core.policy import Area, Closed, CompiledArea, Refusal
from emulator.core.snapshot import Row
from emulator.render.joined import Joined
from tests.support.guest import Guest, header

ONE = CompiledArea(Area(name="one", headers=(("Server", "one"), ("X-One", "1"))), "first")
TWO = CompiledArea(
    Area(
        name="two",
        headers=(("server", "two"), ("X-Two", "2")),
        refusals={Refusal.METHOD: Reply(404, b"other")},
    ),
    "second",
)
THREE = CompiledArea(Area(name="three", headers=(("x-two", "3"), ("X-Three", "3"))), "third")


def row(area: CompiledArea, body: bytes, path: str = "/", *, joins: bool = True) -> Row:
    return Row(path, area, build(Reply(200, body), area.common), joins)


def answered(row: Row) -> Answer:
    assert isinstance(row.answer, Answer)
    return row.answer


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([b"a", b"b"], b"a\nb"),
        ([b"a\n", b"b"], b"a\nb"),
        ([b"a", b"b\n"], b"a\nb\n"),
        ([b"a\nb\n", b"c\n"], b"a\nb\nc\n"),
    ],
)
def test_texts_stand_one_after_the_other(bodies: list[bytes], expected: bytes) -> None:
    areas = (ONE, TWO)
    rows = [row(area, body) for area, body in zip(areas, bodies, strict=True)]
    [found] = Joined().together(rows)
    assert answered(found).body == expected


def test_headers_are_those_of_all_and_of_one_name_the_first_counts() -> None:
    [found] = Joined().together([row(ONE, b"a"), row(TWO, b"b"), row(THREE, b"c")])
    answer = answered(found)
    assert answer.head.startswith(build(Reply(200, b""), ONE.common).head)
    assert answer.body == b"a\nb\nc"
    for head in (answer, found.area.refusals[Refusal.METHOD]):
        said = [line.split(": ")[0].lower() for line in head.head.decode().split("\r\n")]
        assert said.count("server") == said.count("x-two") == 1
        assert header(head, "Server") == "one"
        assert (header(head, "X-One"), header(head, "X-Two")) == ("1", "2")
        assert header(head, "X-Three") == "3"


def test_the_area_is_the_first_s_in_all_else() -> None:
    [found] = Joined().together([row(TWO, b"a"), row(ONE, b"b")])
    assert (found.area.name, found.area.dialect) == ("two", "second")
    refused = found.area.refusals[Refusal.METHOD]
    assert (refused.status, refused.body) == (404, b"other")
    assert header(refused, "X-One") == "1"


def test_equal_areas_make_one_area() -> None:
    joined = Joined()
    [one] = joined.together([row(ONE, b"a"), row(TWO, b"b")])
    [other] = joined.together([row(ONE, b"c"), row(TWO, b"d")])
    [turned] = joined.together([row(TWO, b"c"), row(ONE, b"d")])
    assert one.area is other.area
    assert one.area is not turned.area


def test_what_has_no_company_stays_as_it_is() -> None:
    rows = [
        row(ONE, b"a", "/a"),
        row(ONE, b"b", joins=False),
        row(TWO, b"c", "/b"),
        row(TWO, b"d", joins=False),
    ]
    assert Joined().together(rows) == rows


def test_one_stands_where_the_first_stood() -> None:
    rows = [
        row(ONE, b"x", "/x"),
        row(ONE, b"a"),
        row(ONE, b"y", "/y", joins=False),
        row(TWO, b"b"),
        row(TWO, b"z", "/x", joins=False),
    ]
    found = Joined().together(rows)
    assert [one.path for one in found] == ["/x", "/", "/y", "/x"]
    assert [answered(one).body for one in found] == [b"x", b"a\nb", b"y", b"z"]


CLOSED = CompiledArea(Area(name="closed", rules=(Closed(),), headers=(("X-C", "1"),)), "shut")


def test_what_is_closed_does_not_close_it_to_the_others() -> None:
    shut = row(CLOSED, b"shut")
    [found] = Joined().together([shut, row(ONE, b"a"), row(TWO, b"b")])
    assert (found.area.name, answered(found).body) == ("one", b"a\nb")
    assert header(answered(found), "X-C") == ""
    alone = row(ONE, b"a")
    assert Joined().together([alone, shut]) == [alone]
    assert Joined().together([shut, alone]) == [alone]


def test_what_is_closed_to_all_is_closed() -> None:
    rows = [row(CLOSED, b"a"), row(CLOSED, b"b")]
    [found] = Joined().together(rows)
    assert found.area.gate(Request("GET", "/", "", HTTPHeaders())) is Refusal.ENDPOINT_OFF


def test_machines_with_several_dialects_have_one_root() -> None:
    guest = Guest("name: a\ndialects: {openstack: {}, ec2: {tokens: optional}, gce: {}}\n")
    lines = guest.text("/").splitlines()
    assert len(lines) == len(set(lines))
    assert {"latest", "computeMetadata/"} <= set(lines)
