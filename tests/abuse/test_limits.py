"""Limits of each machine on a running server: what is beyond them, and whom it concerns."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest, asked, values
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "/latest/meta-data/hostname"
TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
LARGE = 1 << 20
VM = """\
name: vm-{number}
peer: {{addresses: [127.0.0.{number}, 127.0.1.{number}]}}
dialects: {{ec2: {{tokens: optional}}, kubevirt: {{tokens: optional}}, gce: {{}}}}
user_data: {{file: large}}
tags: {{round: "{round}"}}
"""


@contextmanager
def limited(folder: Path, *limits: str) -> Iterator[Serving]:
    """Serve two machines, of two addresses each, with other limits."""
    (folder / "vms").mkdir()
    (folder / "vms/large").write_bytes(b"x" * LARGE)
    for number in (1, 2):
        describe(folder, number)
    flags = [text for limit in limits for text in ("--limit", limit)]
    with Serving(folder, str(folder / "vms"), *flags) as server:
        yield server


def describe(folder: Path, number: int, round_: int = 0) -> None:
    fresh = folder / "fresh"
    fresh.write_text(VM.format(number=number, round=round_))
    fresh.rename(folder / f"vms/{number}.yaml")


def hits(server: Serving, limit: str) -> float:
    return server.metric(f'imds_limit_hits_total{{limit="{limit}"}}')


def hits_of(server: Serving, number: int) -> float:
    return server.metric(f'imds_vm_limit_hits_total{{namespace="default",vm="vm-{number}"}}')


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Serving]:
    """Serve five requests at once, and one each hundred seconds."""
    with limited(tmp_path, "requests_of_vm=0.01", "requests_at_once=5") as server:
        yield server


def test_who_asks_too_much_is_refused_and_the_other_is_not(slow: Serving) -> None:
    with Guest(slow.url, "127.0.0.1") as guest, Guest(slow.url, "127.0.0.2") as other:
        assert [guest.ask(NAME).status for _ in range(8)] == [200] * 5 + [503] * 3
        refused = guest.ask(NAME)
        assert values(refused.head)["retry-after"] == "1"
        assert values(refused.head)["server"] == "EC2ws"
        # From wherever it asks, and whatever dialect it asks in.
        with Guest(slow.url, "127.0.1.1") as elsewhere:
            assert elsewhere.ask(NAME).status == 503
            assert elsewhere.ask("/v1/identity", Metadata="true").status == 429
        assert [other.ask(NAME).status for _ in range(5)] == [200] * 5
    assert (hits(slow, "requests_of_vm"), hits_of(slow, 1), hits_of(slow, 2)) == (6, 6, 0)
    reasons = [line["reason"] for line in slow.seen() if line["vm"] == "vm-1"]
    assert reasons == [""] * 5 + ["throttled"] * 6


def test_sessions_and_probes_are_never_refused(slow: Serving) -> None:
    with Guest(slow.url, "127.0.0.1") as guest:
        assert [guest.ask(NAME).status for _ in range(6)][-1] == 503
        assert [guest.ask("/healthz").status for _ in range(20)] == [200] * 20
    for _ in range(20):
        with Guest(slow.url, "127.0.0.1") as guest:
            assert guest.ask("/latest/api/token", "PUT", **TTL).status == 200
        with Guest(slow.url, "127.0.0.1") as guest:
            assert guest.ask("/v1/api/token", "PUT", Metadata="true", **TTL).status == 200
    assert asked(slow.url, NAME).status == 503


def test_a_change_of_the_description_gives_nothing_back(slow: Serving, tmp_path: Path) -> None:
    with Guest(slow.url, "127.0.0.1") as guest:
        assert [guest.ask(NAME).status for _ in range(6)][-1] == 503
        for round_ in (1, 2):
            describe(tmp_path, 1, round_)
            until(lambda: slow.metric('imds_reloads_total{outcome="success"}') >= round_)  # noqa: B023
            assert guest.ask(NAME).status == 503


def test_what_was_taken_comes_back(tmp_path: Path) -> None:
    with (
        limited(tmp_path, "requests_of_vm=20", "requests_at_once=1") as server,
        Guest(server.url) as guest,
    ):
        assert [guest.ask(NAME).status for _ in range(2)] == [200, 503]
        until(lambda: guest.ask(NAME).status == 200, 5)


def test_bytes_are_bounded_and_small_answers_are_not_counted(tmp_path: Path) -> None:
    with (
        limited(tmp_path, "bytes_of_vm=1K", "bytes_at_once=2M") as server,
        Guest(server.url, "127.0.0.1") as guest,
        Guest(server.url, "127.0.0.2") as other,
    ):
        assert [guest.ask(NAME).status for _ in range(50)] == [200] * 50
        # The third takes it beyond, and is still given.
        statuses = [guest.ask("/latest/user-data").status for _ in range(5)]
        assert statuses == [200] * 3 + [503] * 2
        assert guest.ask(NAME).status == 503
        # Without its body it was counted as a request.
        with Guest(server.url, "127.0.0.2") as heads:
            for _ in range(10):
                heads.send("/latest/user-data", "HEAD")
                assert heads.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert other.ask("/latest/user-data").status == 200
        assert hits(server, "bytes_of_vm") == 3


def test_a_machine_has_its_connections_from_all_addresses_and_at_all_doors(
    tmp_path: Path,
) -> None:
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms/large").write_bytes(b"")
    for number in (1, 2):
        describe(tmp_path, number)
    listen = ("--listen", "127.0.0.1:0", "--door", "wireserver=127.0.0.1:0")
    with (
        Serving(
            tmp_path, str(tmp_path / "vms"), *listen, "--limit", "connections_of_vm=4"
        ) as server,
        ExitStack() as stack,
    ):
        door = "http://" + server.said(r"^wireserver on (127\S+)$")
        places = [(url, f"127.0.{net}.1") for url in (server.url, door) for net in (0, 1)]
        held = [stack.enter_context(Guest(*place)) for place in places]
        assert [guest.ask("/healthz").status for guest in held[:2]] == [200] * 2
        assert [guest.ask("/healthz").status for guest in held[2:]] == [404] * 2
        for place in places:
            with Guest(*place) as late:
                assert late.socket.recv(1) == b""
        assert asked(server.url, NAME, "127.0.0.2").status == 200
        assert (hits(server, "connections_of_vm"), hits_of(server, 1)) == (4, 4)
        # A place that becomes free is any address's.
        held[3].close()
        until(lambda: server.metric("imds_connections") == 3)
        assert asked(server.url, NAME, "127.0.1.1").status == 200


def test_a_limit_that_cannot_be_stops_the_start(tmp_path: Path) -> None:
    server = Serving(tmp_path, "--limit", "connections=none")
    try:
        assert server.process.wait(20) == 2
    finally:
        server.close()
    assert server.lines[0].startswith('command line: --limit: found "connections=none"; allowed: ')


def test_what_is_left_of_who_hung_up_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Twenty times 1,500 requests would have their machine's turns for a minute."""
    request = f"GET {NAME} HTTP/1.1\r\nHost: metadata\r\n\r\n".encode()
    with limited(tmp_path, "requests_of_vm=0") as server:
        with ExitStack() as stack:
            for _ in range(20):
                guest = stack.enter_context(Guest(server.url))
                guest.socket.sendall(request * 1500)
                assert guest.socket.recv(13) == b"HTTP/1.1 200 "
        begun = time.monotonic()
        assert asked(server.url, NAME).status == 200
        until(lambda: server.metric("imds_connections") == 0)
        assert asked(server.url, NAME).status == 200
        assert time.monotonic() - begun < 10
        assert server.stop() == 0
