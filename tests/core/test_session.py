"""Session tokens say nothing that their maker did not, and only of one machine (contract 3.4)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request
from emulator.core.refusal import Refusal
from emulator.core.session import MAX_TTL, TTL_HEADER, Sessions, lifetime
from emulator.core.session_endpoint import SessionEndpoint
from tests.support.guest import Guest
from tests.support.ports import FakePorts

KEY = b"k" * 32
UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OTHER = "1f0e0d0c-0b0a-4908-8706-050403020100"


def sessions(ports: FakePorts, *, key: bytes = KEY, uuid: str = UUID, epoch: int = 0) -> Sessions:
    return Sessions(key, uuid, epoch, ports.ports)


def test_a_token_is_good_until_it_ends(fake_ports: FakePorts) -> None:
    made = sessions(fake_ports)
    token = made.issue(10)
    assert made.remaining(token) == 10
    fake_ports.advance(9.5)
    assert made.remaining(token) == 1
    fake_ports.advance(0.5)
    assert made.remaining(token) is None


def test_a_token_outlives_its_maker(fake_ports: FakePorts) -> None:
    assert sessions(fake_ports).remaining(sessions(fake_ports).issue(60)) == 60


def test_a_token_is_for_one_machine_one_epoch_one_key(fake_ports: FakePorts) -> None:
    token = sessions(fake_ports).issue(60)
    assert sessions(fake_ports, uuid=OTHER).remaining(token) is None
    assert sessions(fake_ports, epoch=1).remaining(token) is None
    assert sessions(fake_ports, key=b"other" * 8).remaining(token) is None


def test_no_two_tokens_are_alike(fake_ports: FakePorts) -> None:
    made = sessions(fake_ports)
    assert made.issue(60) != made.issue(60)


def test_a_clock_behind_the_makers_promises_no_more_than_a_token_can_live(
    fake_ports: FakePorts,
) -> None:
    made = sessions(fake_ports)
    token = made.issue(MAX_TTL)
    fake_ports.advance(-3600)
    assert made.remaining(token) == MAX_TTL


@given(ttl=st.integers(1, MAX_TTL), place=st.integers(0, 63), put=st.characters())
def test_another_character_anywhere_voids_it(ttl: int, place: int, put: str) -> None:
    made = sessions(FakePorts())
    token = made.issue(ttl)
    changed = token[:place] + put + token[place + 1 :]
    # Both alphabets of base64 name the same bytes.
    same = changed.translate(str.maketrans("+/", "-_")) == token
    assert made.remaining(changed) == (ttl if same else None)


@given(st.text() | st.text(alphabet="AZaz09-_", min_size=64, max_size=64))
def test_what_nobody_made_is_no_token(text: str) -> None:
    assert sessions(FakePorts()).remaining(text) is None


def test_a_token_fits_a_url_and_a_header(fake_ports: FakePorts) -> None:
    made = sessions(fake_ports)
    for _ in range(50):
        token = made.issue(60)
        assert len(token) == 64
        assert token.isascii()
        assert token.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("21600", 21600),
        ("0", None),
        ("21601", None),
        ("-1", None),
        ("+5", None),
        ("5.0", None),
        ("abc", None),
        ("", None),
        (" 5", None),
        ("٣", None),
        ("999999999999999999999999", None),
    ],
)
def test_a_wish_is_a_whole_number_of_seconds_within_six_hours(
    text: str, seconds: int | None
) -> None:
    assert lifetime(text) == seconds


def ask(method: str, *wishes: str) -> Request:
    headers = HTTPHeaders()
    for wish in wishes:
        headers.add(TTL_HEADER, wish)
    return Request(method, "/latest/api/token", "", headers)


def test_the_endpoint_gives_a_token_and_says_how_long_it_lives() -> None:
    guest = Guest("name: web-1\n")
    reply = SessionEndpoint(2)(ask("PUT", "300"), guest)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.type, reply.hop_limit) == (200, "text/plain", 2)
    assert reply.headers == ((TTL_HEADER, "300"),)
    assert guest.sessions.remaining(reply.body.decode()) == 300


@pytest.mark.parametrize("wishes", [(), ("0",), ("5", "5")])
def test_the_endpoint_refuses_what_is_no_wish(wishes: tuple[str, ...]) -> None:
    guest = Guest("name: web-1\n")
    assert SessionEndpoint(1)(ask("PUT", *wishes), guest) is Refusal.BAD_LIFETIME


def test_the_endpoint_tells_its_methods() -> None:
    reply = SessionEndpoint(1)(ask("OPTIONS"), Guest("name: web-1\n"))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.headers) == (200, b"", (("Allow", "OPTIONS, PUT"),))


def test_many_tokens_are_good_at_once_and_each_ends_at_its_time(fake_ports: FakePorts) -> None:
    sessions = Sessions(b"key", "vm", 0, fake_ports.ports)
    tokens = [sessions.issue(ttl) for ttl in range(1, 101)]
    for _ in range(2):
        assert [sessions.remaining(token) for token in tokens] == list(range(1, 101))
    fake_ports.advance(50)
    found = [sessions.remaining(token) for token in tokens]
    assert found == [None] * 50 + list(range(1, 51))
    assert found == [sessions.remaining(token) for token in tokens]


def test_a_token_keeps_its_fingerprint_when_it_is_void() -> None:
    fake = FakePorts()
    first, second = (Sessions(b"k" * 32, "uuid", epoch, fake.ports) for epoch in (0, 1))
    token = first.issue(60)
    mark = first.fingerprint(token)
    assert re.fullmatch("[0-9a-f]{16}", mark)
    assert mark == first.fingerprint(token) == second.fingerprint(token)
    assert second.remaining(token) is None
    assert mark != Sessions(b"k" * 32, "other", 0, fake.ports).fingerprint(token)
    assert mark != Sessions(b"j" * 32, "uuid", 0, fake.ports).fingerprint(token)
    assert mark != first.fingerprint("x" + token[1:])


def test_fingerprints_are_kept_for_a_few_tokens_only() -> None:
    sessions = Sessions(b"k" * 32, "uuid", 0, FakePorts().ports)
    for number in range(100):
        sessions.fingerprint(f"{number:064}")
        sessions.fingerprint("x" * number)
    assert len(sessions._marks) <= 16
