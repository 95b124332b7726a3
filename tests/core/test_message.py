"""Answers are built once, and no header breaks out of its line."""

from __future__ import annotations

import pytest

from emulator.core.message import Reply, ServiceToken, build


def test_an_answer_has_its_head_built() -> None:
    answer = build(Reply(200, b"x", "text/plain"), (("Server", "a"),))
    assert answer.head == b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Type: text/plain\r\n"
    assert answer.body == b"x"


def test_a_reply_replaces_the_header_of_its_area() -> None:
    answer = build(Reply(200, headers=(("server", "b"),)), (("Server", "a"), ("X", "y")))
    assert b"Server: a" not in answer.head
    assert b"server: b\r\n" in answer.head
    assert b"X: y\r\n" in answer.head


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_header_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        build(Reply(200, headers=(("X", value),)))


def test_a_service_token_shows_when_it_ends_and_nothing_else() -> None:
    assert repr(ServiceToken("secret", 17.0)) == "ServiceToken(..., expires=17.0)"
