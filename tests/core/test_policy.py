"""Rules are applied in contract 9.3's order, and every refusal has an answer."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request
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


def test_a_session_that_is_required_is_needed() -> None:
    assert within(Session.REQUIRED).gate(ask(), Guest("name: a\n")) is Refusal.SESSION_MISSING


@pytest.mark.parametrize("session", Session)
def test_a_bad_session_is_refused_by_both(session: Session) -> None:
    asked = Request("GET", "/x", "", HTTPHeaders({TOKEN_HEADER: "none"}))
    assert within(session).gate(asked, Guest("name: a\n")) is Refusal.SESSION_INVALID
    assert within(session).gate(asked) is Refusal.SESSION_INVALID


def test_a_session_does_not_excuse_a_wrong_method() -> None:
    guest = Guest("name: web-1\n")
    asked = Request("POST", "/x", "", HTTPHeaders(guest.in_session()))
    assert within(Session.REQUIRED).gate(asked, guest) is Refusal.METHOD
    assert within(Session.REQUIRED).gate(ask("POST"), guest) is Refusal.SESSION_MISSING
