"""A server's sockets under bytes that no client would send: it refuses, and goes on.

``python -m bench.fuzz`` sends more of the same.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import CORPUS
from tests.fuzz.hostile import INNER, hostile
from tests.fuzz.target import Finding, Target, attacked, judged

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


@pytest.mark.parametrize("name", CORPUS)
def test_what_was_kept_is_answered_as_it_should_be(target: Target, name: str) -> None:
    data, statuses = CORPUS[name]
    assert target.attack(data) == statuses
    target.check()


@pytest.mark.parametrize("path", [b"/latest/api/token", b"/v1/api/token", b"/nocloud/"])
def test_who_hangs_up_is_not_missed(target: Target, path: bytes) -> None:
    head = b"PUT " + path + b" HTTP/1.1\r\nHost: metadata\r\nMetadata: true\r\n"
    ask = head + b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
    for _ in range(50):
        target.abandon(INNER * 3 + ask)
        _ = target.attack(ask * 2)
    target.check()


@settings(max_examples=300, derandomize=True)
@given(
    chance=st.randoms(use_true_random=False),
    listener=st.sampled_from(["guest", "wireserver", "operator"]),
    cut=st.integers(0, 300),
)
def test_no_bytes_break_it(target: Target, chance: Random, listener: str, cut: int) -> None:
    data = hostile(chance)
    target.abandon(data, listener)
    _ = target.attack(data, listener, cut)
    target.check()


def test_a_flood_of_them_leaves_it_as_it_was(target: Target) -> None:
    def send(numbers: range) -> None:
        for number in numbers:
            _ = target.attack(hostile(Random(number)))  # noqa: S311  chance, not secrecy

    send(range(500))
    before = target.memory()
    send(range(500, 1500))
    assert target.memory() - before < 8
    target.check()


BARE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"", []),
        (BARE, [400]),
        (b"HTTP/1.1 100 (Continue)\r\n\r\n" + BARE, [100, 400]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK" * 2, [200, 200]),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" * 2, [200, 200]),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", [503]),
    ],
)
def test_answers_are_told_apart(data: bytes, statuses: list[int]) -> None:
    assert judged(data) == statuses


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        BARE * 2,
        b"<html>",
    ],
)
def test_what_must_not_be_answered_is_a_finding(data: bytes) -> None:
    with pytest.raises(Finding):
        _ = judged(data)


def test_what_a_server_says_and_its_end_are_findings(tmp_path: Path) -> None:
    with attacked(tmp_path) as running:
        running.check()
        with (tmp_path / "log").open("a") as log:
            log.write("Traceback\n")
        with pytest.raises(Finding, match="Traceback"):
            running.check()
        running.stop()
        with pytest.raises(Finding, match="ended"):
            running.check()
