"""``emulator.credentials.web``: one question to a web service, whatever it answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import msgspec
import pytest

from emulator.credentials import web
from emulator.errors import CredentialsUnavailable
from tests.credentials.conftest import Shows, wait
from tests.credentials.token_service import Says, TokenService

SECRET = "a-secret-that-nobody-may-see"

DEEP = b"[" * 100_000 + b"]" * 100_000

# Not UTF-8 within a text, and nested too deeply: for the decoder these are no DecodeError.
MALFORMED = [
    b'{"word": "\xff", "error": "\xff"}',
    b'{"other": "\xff", "word": "\xc3"}',
    b'{"word": "x", "error": "x", "other": %s}' % DEEP,
    DEEP,
]


class Shape(msgspec.Struct):
    """What is expected."""

    word: str
    number: int = 7


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


def post(service: TokenService, body: bytes = b"a=b", bearer: str = "") -> Shape:
    found: Shape = wait(web.post(f"{service.url}/token", body, web.FORM, Shape, bearer))
    return found


def refused(service: TokenService, said: Says, bearer: str = "") -> CredentialsUnavailable:
    service.says["/token"] = said
    with pytest.raises(CredentialsUnavailable) as error:
        post(service, f"secret={SECRET}".encode(), bearer)
    return error.value


def test_an_answer_is_read_as_its_shape(service: TokenService) -> None:
    service.says["/token"] = Says(body=b'{"word": "x", "other": [1]}')
    assert post(service) == Shape("x")
    [asked] = service.asked
    assert (asked.path, asked.body) == ("/token", b"a=b")
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    assert "Authorization" not in asked.headers


def test_a_bearer_token_and_another_kind_are_sent(service: TokenService) -> None:
    service.says["/x"] = Says(body=b'{"word": "x", "number": 1}')
    found = wait(web.post(f"{service.url}/x", b"{}", web.JSON, Shape, bearer="t.o.ken"))
    assert found == Shape("x", 1)
    assert service.asked[0].headers["Authorization"] == "Bearer t.o.ken"
    assert service.asked[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"word": 1}',
        b'{"word": "x", "number": "y"}',
        b"\xff",
        b"null",
        *MALFORMED,
    ],
)
def test_what_is_not_its_shape_is_no_answer(
    service: TokenService, body: bytes, shows_none: Shows
) -> None:
    error = refused(service, Says(body=body))
    assert (str(error), error.code) == ("the token service gave no token", "Failed")
    assert error.detail == f"{service.url}/token"
    shows_none([SECRET], error, error.detail)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Refused"),
        (401, "Refused"),
        (403, "Refused"),
        (404, "Failed"),
        (429, "Failed"),
        (500, "Failed"),
        (503, "Failed"),
        (599, "Failed"),
        (201, "Failed"),
    ],
)
@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"error": "invalid_grant", "error_description": SECRET}, "invalid_grant"),
        ({"error": "InvalidTarget"}, "InvalidTarget"),
        ({"error": f"bad token {SECRET}"}, None),
        ({"error": SECRET}, None),
        ({"error": "x" * 65}, None),
        ({"error": ""}, None),
        ({"error": {"code": 403, "message": SECRET, "status": "PERMISSION_DENIED"}}, None),
        ({"error": 7}, None),
        ({}, None),
        ([SECRET], None),
    ],
)
def test_a_refusal_says_its_code_and_nothing_else(
    service: TokenService,
    status: int,
    code: str,
    document: object,
    word: str | None,
    shows_none: Shows,
) -> None:
    error = refused(service, Says.json(document, status))
    assert str(error) == f"the token service gives no token: {word or f'HTTP status {status}'}"
    assert (error.code, error.detail) == (code, f"{service.url}/token")
    shows_none([SECRET], error, error.detail)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", *MALFORMED])
def test_a_refusal_need_not_be_json(service: TokenService, body: bytes) -> None:
    assert str(refused(service, Says(502, body))).endswith(": HTTP status 502")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(service: TokenService, status: int) -> None:
    service.says["/elsewhere"] = Says(body=b'{"word": "stolen"}')
    there = {"Location": f"{service.url}/elsewhere"}
    error = refused(service, Says(status, headers=there), SECRET)
    assert str(error).endswith(f": HTTP status {status}")
    assert error.code == "Failed"
    assert [asked.path for asked in service.asked] == ["/token"]


def test_who_is_not_there_does_not_answer(service: TokenService, shows_none: Shows) -> None:
    service.stop()
    error = refused(service, Says(), SECRET)
    service.start()
    assert (str(error), error.code) == ("the token service does not answer", "Failed")
    assert error.detail == f"{service.url}/token: ConnectionRefusedError"
    shows_none([SECRET], error, error.detail)


def test_who_says_nothing_in_time_does_not_answer(
    service: TokenService, monkeypatch: pytest.MonkeyPatch, shows_none: Shows
) -> None:
    monkeypatch.setattr(web, "WHOLE_SECONDS", 0.05)
    service.gate.clear()
    error = refused(service, Says())
    service.gate.set()
    assert str(error) == "the token service does not answer"
    assert "Timeout" in error.detail
    shows_none([SECRET], error, error.detail)


def test_who_hangs_up_does_not_answer(listener: socket.socket, shows_none: Shows) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
    listener.shutdown(socket.SHUT_RDWR)
    with pytest.raises(CredentialsUnavailable) as error:
        wait(web.post(url, SECRET.encode(), web.FORM, Shape, SECRET))
    assert str(error.value) == "the token service does not answer"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    shows_none([SECRET], error.value, error.value.detail)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999/", "ftp://127.0.0.1/", "x"])
def test_what_is_no_url_does_not_answer(url: str, shows_none: Shows) -> None:
    with pytest.raises(CredentialsUnavailable) as error:
        wait(web.post(url, SECRET.encode(), web.FORM, Shape))
    assert str(error.value) == "the token service does not answer"
    assert error.value.detail.startswith(f"{url}: ")
    shows_none([SECRET], error.value, error.value.detail)


def test_what_is_no_bearer_token_is_not_sent(service: TokenService, shows_none: Shows) -> None:
    for bearer in (f"{SECRET}\r\nX-Other: 1", f"{SECRET}\n", f"{SECRET}\u2028"):
        error = refused(service, Says(body=b'{"word": "x"}'), bearer)
        assert str(error) == "the token service does not answer"
        shows_none([SECRET], error, error.detail)
    assert service.asked == []


def test_an_answer_has_a_length(service: TokenService) -> None:
    large = json.dumps({"word": "x" * (1 << 20)}).encode()
    assert str(refused(service, Says(body=large))) == "the token service does not answer"
    service.says["/token"] = Says(body=json.dumps({"word": "x" * (1 << 19)}).encode())
    assert len(post(service).word) == 1 << 19


def test_nothing_that_is_sent_is_logged(service: TokenService, shows_none: Shows) -> None:
    service.says["/token"] = Says(body=f'{{"word": "{SECRET}"}}'.encode())
    post(service, f"secret={SECRET}".encode(), SECRET)
    shows_none([SECRET])
