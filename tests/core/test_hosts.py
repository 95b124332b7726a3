"""By which names a server may be asked: contract 9.2-16, and 9.3 for the place of the check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request, build
from emulator.core.policy import Area, CompiledArea, Hosts, Refusal, RequireHeader
from emulator.core.snapshot import OFF, Compiler, Row
from emulator.dialects import HOSTS

CLIENTS = Hosts((*HOSTS, "imds.example"))
OURS = (
    None,
    "",
    "169.254.169.254",
    "169.254.169.254:80",
    "127.0.0.1:16925",
    "[fe80::a9fe:a9fe%25eth0]",
    "[fe80::a9fe:a9fe%eth0]:80",
    "[fd00:ec2::254]",
    "[fd20:ce::254]:80",
    "localhost",
    "LocalHost:8080",
    "metadata.google.internal",
    "metadata.google.internal.",
    "Metadata",
    "instance-data",
    "instance-data.:8773",
    "imds.example",
)
OTHERS = (
    "page.example",
    "169.254.169.254.page.example",
    "page.example:80",
    "metadata.google.internal.page.example",
    "metadata.google.internal..",
    "169.254.169.254,page.example",
    "user@169.254.169.254",
    "169.254.169.254:80:80",
    "169.254.169.254:x",
    "fd00:ec2::254",
    "[169.254.169.254]",
    "[page.example]",
    "[]",
    "[::1",
    ":80",
    ".",
    "0xa9.254.169.254",
    "\xb2",
    "a" * 16000,
)


@pytest.mark.parametrize("sent", OURS)
def test_who_asks_by_address_or_by_a_known_name_is_right(sent: str | None) -> None:
    for _ in range(2):
        assert not CLIENTS.foreign(sent)


@pytest.mark.parametrize("sent", OTHERS)
def test_another_name_is_foreign(sent: str) -> None:
    for _ in range(2):
        assert CLIENTS.foreign(sent)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_is_judged(sent: str) -> None:
    assert CLIENTS.foreign(sent) in {True, False}


def test_spellings_that_a_guest_makes_up_are_not_kept_without_end() -> None:
    hosts = Hosts()
    for number in range(1000):
        assert not hosts.foreign(f"[fe80::1%{number}]")
    assert len(hosts._known) < 300


AREA = CompiledArea(Area(name="a", prefixes=("/a",), rules=(RequireHeader("M", "1"),)), "d")
OPEN = CompiledArea(Area(name="b", prefixes=("/b",), any_host=True), "d")
SNAPSHOT = Compiler(frozenset({"/a", "/b", "/off"})).compile(
    [Row("/a", AREA, build(Reply(200))), Row("/b", OPEN, build(Reply(200)))], (AREA, OPEN)
)


@pytest.mark.parametrize(
    ("path", "area", "refusal"),
    [
        ("/a", AREA, Refusal.FOREIGN_HOST),
        ("/a/none", AREA, Refusal.FOREIGN_HOST),
        ("/b", OPEN, None),
        ("/off", OFF, Refusal.DIALECT_OFF),
        ("/nowhere", OFF, Refusal.NOT_FOUND),
    ],
)
def test_it_is_refused_after_the_persona_and_before_the_header(
    path: str, area: CompiledArea, refusal: Refusal | None
) -> None:
    found = SNAPSHOT.decide(Request("GET", path, "", HTTPHeaders(), foreign=True))
    assert (found.area, found.refusal) == (area, refusal)
