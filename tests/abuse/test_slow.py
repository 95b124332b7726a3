"""Guests that send or take a byte at a time, idle, or hang up: nothing is kept for them."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest, asked
from tests.server.process import UNLIMITED, Serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "/latest/meta-data/hostname"
LARGE = 16 << 20
SECONDS = 1.0
LIMITS = (
    *("--limit", f"idle_seconds={SECONDS}"),
    *("--limit", f"body_seconds={SECONDS}"),
    *UNLIMITED,
)
HEAD = b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: metadata\r\n"
POST = b"POST /openstack/2013-04-04/password HTTP/1.1\r\nHost: metadata\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve two machines with patience of a second; the largest user data that there may be."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "vms").mkdir()
    (folder / "vms/large").write_bytes(b"x" * LARGE)
    for number in (1, 2):
        text = f"name: vm-{number}\npeer: {{addresses: [127.0.0.{number}]}}\n"
        (folder / f"vms/{number}.yaml").write_text(text + "user_data: {file: large}\n")
    with Serving(folder, str(folder / "vms"), *LIMITS) as serving:
        yield serving


def memory(server: Serving) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def said(server: Serving) -> list[str]:
    return [line for line in server.lines if line.startswith("{")]


@contextmanager
def unharmed(server: Serving) -> Iterator[None]:
    """Have the other machine answered meanwhile, and everything be as before in the end."""
    answers: list[int] = []
    over = threading.Event()

    def neighbour() -> None:
        while not over.wait(0.02):
            answers.append(asked(server.url, NAME, "127.0.0.2").status)

    thread = threading.Thread(target=neighbour)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert set(answers) == {200}
    until(lambda: server.metric("imds_connections") == 0)
    assert said(server) == []


def trickled(guest: Guest, data: bytes, pause: float) -> float:
    """Send ``data`` byte by byte until nobody takes it; give the seconds until then."""
    begun = time.monotonic()
    guest.socket.settimeout(pause)
    for at in range(len(data)):
        try:
            guest.socket.sendall(data[at : at + 1])
            if not guest.socket.recv(1 << 16):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEAD + b"A: " + b"b" * 1000, "slow-head"),
        (HEAD + b"A: b\r\n" * 500, "slow-head"),
        (POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 900, "slow-body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 300, "slow-body"),
    ],
    ids=["a header", "headers", "a body", "chunks"],
)
def test_who_sends_a_byte_at_a_time_is_left(server: Serving, data: bytes, reason: str) -> None:
    series = f'imds_malformed_requests_total{{reason="{reason}"}}'
    before = server.metric(series)
    whole = data.rpartition(b"\r\n\r\n")[0] or data[: len(HEAD)]
    with unharmed(server), ExitStack() as stack:
        guests = [stack.enter_context(Guest(server.url)) for _ in range(20)]
        for guest in guests:
            # Its head, if there is a body, is there at once.
            guest.socket.sendall(whole + b"\r\n\r\n" if b"\r\n\r\n" in data else whole)
        rest = data[len(whole) + 4 :] if b"\r\n\r\n" in data else data[len(whole) :]
        took: list[float] = []
        threads = [
            threading.Thread(target=lambda one=guest: took.append(trickled(one, rest, 0.02)))
            for guest in guests
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Looked for four times within that time.
        assert max(took) < SECONDS * 1.5 + 2
    assert server.metric(series) == before + 20


def test_who_takes_nothing_of_a_large_answer_is_left_and_costs_little(server: Serving) -> None:
    """The answer is kept once, not once for each that is slow to take it."""
    assert len(asked(server.url, "/latest/user-data").body) == LARGE
    before = memory(server)
    with unharmed(server), ExitStack() as stack:
        for _ in range(30):
            guest = stack.enter_context(Guest(server.url))
            guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            guest.send("/latest/user-data")
        until(lambda: server.metric("imds_connections") >= 20)
        assert memory(server) - before < 24
        # The kernel gives up on who has a closed window for that long.
        until(lambda: server.metric("imds_connections") <= 1)


def test_who_takes_a_large_answer_slowly_gets_all_of_it(server: Serving) -> None:
    with unharmed(server), Guest(server.url, seconds=60) as guest:
        guest.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        guest.send("/latest/user-data")
        got, begun = 0, time.monotonic()
        while got < LARGE:
            part = len(guest.socket.recv(1 << 20))
            assert part
            got += part
            if time.monotonic() - begun < 3 * SECONDS:
                time.sleep(0.05)
        assert time.monotonic() - begun > 3 * SECONDS


def test_who_hangs_up_at_any_moment_is_forgotten(server: Serving) -> None:
    whole = HEAD + b"\r\n" + POST + b"Content-Length: 20\r\n\r\n" + b"x" * 20
    before = memory(server)
    with unharmed(server):
        for at in range(len(whole) * 8):
            with Guest(server.url) as guest:
                if at % 2:
                    guest.socket.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                    )
                guest.socket.sendall(whole[: at % len(whole)])
    assert memory(server) - before < 8


def test_who_idles_is_left_and_finds_a_place_again(server: Serving) -> None:
    with unharmed(server), ExitStack() as stack:
        guests = [stack.enter_context(Guest(server.url)) for _ in range(200)]
        assert guests[0].ask(NAME).status == 200
        for guest in guests:
            guest.socket.settimeout(SECONDS * 1.5 + 5)
            assert guest.socket.recv(1) == b""
        assert asked(server.url, NAME).status == 200
