"""Rules are applied in contract 9.3's order, and every refusal has an answer."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request, Services, build
from emulator.core.policy import (
    Area,
    Closed,
    CompiledArea,
    ForbidHeader,
    Refusal,
    RequireHeader,
    Session,
)
from emulator.core.session import TOKEN_HEADER
from emulator.core.snapshot import Compiler, Row
from tests.support.guest import Guest

AREA = CompiledArea(
    Area(
        name="guarded",
        rules=(RequireHeader("Metadata", "true"), ForbidHeader("X-Forwarded-For")),
        refusals={Refusal.HEADER_MISSING: Reply(400, b"{}", "application/json")},
        headers=(("Server", "s"),),
    ),
    "test",
)


def ask(method: str = "GET", **headers: str) -> Request:
    named = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return Request(method, "/x", "", named)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ask(), Refusal.HEADER_MISSING),
        (ask(metadata="True"), Refusal.HEADER_MISSING),
        (ask(metadata="true"), b""),
        (ask(metadata="true", x_forwarded_for="1.2.3.4"), Refusal.FORWARDED),
        (ask("POST", metadata="true"), Refusal.METHOD),
        (ask("POST"), Refusal.HEADER_MISSING),
        (ask("HEAD", metadata="true"), b""),
    ],
)
def test_the_gate_says_why_not(request_: Request, expected: Refusal | bytes) -> None:
    assert AREA.gate(request_) == expected


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_an_answer_with_the_areas_headers(refusal: Refusal) -> None:
    answer = AREA.refusals[refusal]
    assert answer.status >= 400
    assert b"Server: s\r\n" in answer.head


def test_of_a_header_given_twice_the_first_counts() -> None:
    headers = HTTPHeaders()
    for value in ("false", "true"):
        headers.add("Metadata", value)
    assert AREA.gate(Request("GET", "/x", "", headers)) is Refusal.HEADER_MISSING


def test_the_areas_own_refusal_replaces_the_default() -> None:
    assert AREA.refusals[Refusal.HEADER_MISSING].body == b"{}"


def test_a_wrong_method_is_told_the_right_ones() -> None:
    assert b"Allow: GET, HEAD\r\n" in AREA.refusals[Refusal.METHOD].head


def test_an_area_may_call_a_wrong_method_a_missing_page() -> None:
    area = CompiledArea(Area(name="a", refusals={Refusal.METHOD: Reply(404)}), "test")
    assert b"Allow" not in area.refusals[Refusal.METHOD].head


def test_a_closed_area_refuses_whatever_is_asked() -> None:
    area = CompiledArea(Area(name="a", rules=(Closed(),)), "test")
    assert area.gate(ask()) is Refusal.ENDPOINT_OFF


def within(session: Session) -> CompiledArea:
    return CompiledArea(Area(name="a", session=session), "test")


def test_a_session_that_is_optional_is_honoured() -> None:
    guest = Guest("name: web-1\n")
    assert within(Session.OPTIONAL).gate(ask(), guest) == b""
    asked = Request("GET", "/x", "", HTTPHeaders(guest.in_session()))
    told = b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
    assert within(Session.OPTIONAL).gate(asked, guest) == told
    assert within(Session.REQUIRED).gate(asked, guest) == told


def test_who_would_have_been_refused_is_told_where_that_is_observed() -> None:
    guest = Guest("name: web-1\n")
    area = within(Session.OBSERVE)
    assert area.gate(ask(), guest) == b""
    assert area.spared(ask(), None) == "session-missing"
    assert area.spared(ask(), Refusal.NOT_FOUND) == "session-missing"
    assert not area.spared(Request("GET", "/x", "", HTTPHeaders(guest.in_session())), None)
    for session in (Session.OPTIONAL, Session.REQUIRED):
        assert not within(session).spared(ask(), None)


def test_who_was_refused_before_was_not_spared() -> None:
    rules = (ForbidHeader("X-Forwarded-For"),)
    area = CompiledArea(Area(name="a", rules=rules, session=Session.OBSERVE), "test")
    assert not area.spared(ask(), Refusal.FOREIGN_HOST)
    assert not area.spared(ask(), Refusal.FORWARDED)
    assert area.spared(ask(), Refusal.METHOD)


def test_a_session_that_is_required_is_needed() -> None:
    assert within(Session.REQUIRED).gate(ask(), Guest("name: a\n")) is Refusal.SESSION_MISSING


@pytest.mark.parametrize("session", Session)
def test_a_bad_session_is_refused_by_all(session: Session) -> None:
    asked = Request("GET", "/x", "", HTTPHeaders({TOKEN_HEADER: "none"}))
    assert within(session).gate(asked, Guest("name: a\n")) is Refusal.SESSION_INVALID
    assert within(session).gate(asked) is Refusal.SESSION_INVALID


def test_a_session_does_not_excuse_a_wrong_method() -> None:
    guest = Guest("name: web-1\n")
    asked = Request("POST", "/x", "", HTTPHeaders(guest.in_session()))
    assert within(Session.REQUIRED).gate(asked, guest) is Refusal.METHOD
    assert within(Session.REQUIRED).gate(ask("POST"), guest) is Refusal.SESSION_MISSING


def passes(rule: RequireHeader, *lines: tuple[str, str]) -> bool:
    headers = HTTPHeaders()
    for name, value in lines:
        headers.add(name, value)
    found = rule.check(Request("GET", "/x", "", headers))
    assert found in {None, rule.refusal}
    return found is None


@pytest.mark.parametrize(
    ("any_case", "value", "expected"),
    [
        (False, "true", True),
        (False, "True", False),
        (False, "", False),
        (True, "true", True),
        (True, "TRUE", True),
        (True, "tRuE", True),
        (True, "truer", False),
        (True, "", False),
    ],
)
def test_a_rule_may_look_past_the_case_of_a_value(
    *, any_case: bool, value: str, expected: bool
) -> None:
    rule = RequireHeader("Metadata", "true", any_case=any_case)
    assert passes(rule, ("Metadata", value)) is expected
    assert passes(rule, ("metadata", value)) is expected
    shouted = RequireHeader("Metadata", "TRUE", any_case=True)
    assert passes(shouted, ("Metadata", value)) is (value.lower() == "true")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], False),
        ([("Flavor", "G")], True),
        ([("Other", "Yes")], True),
        ([("Other", "yes")], False),
        ([("Other", "no")], False),
        ([("Other", "no"), ("Other", "Yes")], False),
        ([("Flavor", "x"), ("Other", "Yes")], False),
        ([("Flavor", ""), ("Other", "Yes")], False),
        ([("Flavor", "G"), ("Other", "no")], True),
    ],
)
def test_another_header_will_do_only_where_the_first_is_missing(
    lines: list[tuple[str, str]], *, expected: bool
) -> None:
    rule = RequireHeader("Flavor", "G", Refusal.FORBIDDEN, instead=("Other", "Yes"))
    assert passes(rule, *lines) is expected


def test_another_header_has_the_same_rules_for_its_value() -> None:
    rule = RequireHeader("Flavor", "G", any_case=True, instead=("Other", "Yes"))
    assert passes(rule, ("Other", "YES"))
    assert passes(rule, ("Flavor", "g"))
    assert not passes(rule, ("Other", "no"))


def written(request: Request, services: Services) -> Reply:
    return Reply(200, f"{request.method} {request.path}".encode())


WRITABLE = CompiledArea(
    Area(
        name="writable",
        prefixes=("/w",),
        rules=(RequireHeader("Metadata", "true"),),
        methods=("DELETE", "GET", "HEAD", "PUT"),
        writes=written,
    ),
    "test",
)


@pytest.mark.parametrize("path", ["/w", "/w/there", "/w/none", "/w/none/below"])
@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "PUT", "POST"])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_no_read_is_a_write_wherever_it_is_sent(
    path: str, method: str, *, named: bool
) -> None:
    rows = [Row("/w/there", WRITABLE, build(Reply(200, b"there")))]
    snapshot = Compiler(frozenset({"/w"})).compile(rows, [WRITABLE])
    headers = HTTPHeaders({"Metadata": "true"} if named else {})
    found = snapshot.decide(Request(method, path, "", headers), Guest("name: vm\n"))
    assert found.area is WRITABLE
    if not named:
        assert found.refusal is Refusal.HEADER_MISSING
    elif method == "POST":
        assert found.refusal is Refusal.METHOD
    elif method in {"GET", "HEAD"}:
        assert found.refusal == (None if path == "/w/there" else Refusal.NOT_FOUND)
        assert found.answer is not written
    else:
        assert found.refusal is None
        assert found.answer is written


def test_an_area_without_writes_answers_what_it_has_to_any_of_its_methods() -> None:
    area = CompiledArea(Area(name="a", prefixes=("/a",), methods=("GET", "PUT")), "test")
    answer = build(Reply(200, b"there"))
    snapshot = Compiler(frozenset({"/a"})).compile([Row("/a/b", area, answer)], [area])
    asked = [Request("PUT", path, "", HTTPHeaders()) for path in ("/a/b", "/a/none")]
    assert snapshot.decide(asked[0]).answer is answer
    assert snapshot.decide(asked[1]).refusal is Refusal.NOT_FOUND
