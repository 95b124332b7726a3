"""Connections are bounded in number and in the time that they may idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    ResponseStartLine,
)

from emulator.core.message import Reply
from emulator.core.policy import Hosts
from emulator.model.config import Limits
from emulator.runtime.sockets import Endpoint
from emulator.server.listeners import Heard, Listener, Places
from emulator.server.operator import Operator, Readiness

LOOPBACK = Endpoint(host="127.0.0.1", port=0)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"


def listener(
    limits: Limits, endpoint: Endpoint = LOOPBACK, places: Places | None = None
) -> Listener:
    health = Operator({"/healthz": Readiness().health}, Hosts())
    return Listener(endpoint, health, limits, places=places)


@asynccontextmanager
async def connected(
    made: Listener, local: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = str(made).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(local, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def first(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(15), 10)


async def answered(made: Listener, local: str = "127.0.0.1") -> bool:
    """Say whether a new connection from ``local`` gets an answer."""
    async with connected(made, local) as (reader, writer):
        writer.write(HEALTH)
        try:
            return await first(reader) == b"HTTP/1.1 200 OK"
        except ConnectionError:
            return False


def test_one_connection_too_many_is_closed_and_a_free_place_is_given() -> None:
    async def main() -> None:
        places = Places()
        made = listener(Limits(connections=1), places=places)
        async with connected(made) as (reader, writer):
            writer.write(HEALTH)
            assert await first(reader) == b"HTTP/1.1 200 OK"
            assert made.held == 1
            assert not await answered(made)
        assert places.hits == {"connections": 1}
        assert any([await answered(made) for _ in range(50)])
        made.stop()
        await made.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limits", "sent", "counted"),
    [
        (Limits(idle_seconds=0.05), b"", {}),
        (Limits(idle_seconds=0.05), b"GET /healthz HTTP/1.1\r\nHost:", {"slow-head": 1}),
        (Limits(body_seconds=0.05), POST + b"Content-Length: 9\r\n\r\n", {"slow-body": 1}),
    ],
    ids=["silence", "half a head", "a body that never comes"],
)
def test_who_does_not_go_on_is_not_waited_for(
    limits: Limits, sent: bytes, counted: dict[str, int]
) -> None:
    async def main() -> None:
        places = Places()
        made = listener(limits, places=places)
        async with connected(made) as (reader, writer):
            writer.write(sent)
            assert await first(reader) == b""
        assert places.malformed == counted
        made.stop()
        await made.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        (HEALTH + b"GET\r\n\r\n", {"not-http": 1}),
        (HEALTH[:-2] + b"No colon\r\n\r\n", {"not-http": 1}),
        (POST + b"Content-Length: many\r\n\r\n", {"not-http": 1}),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", {"not-http": 1}),
        (HEALTH[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n", {"head-too-long": 1}),
        (POST + b"Content-Length: 99999\r\n\r\n", {"body-too-long": 1}),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n", {"body-too-long": 1}),
        (HEALTH + HEALTH, {}),
        (HEALTH + HEALTH[:9], {}),
    ],
)
def test_what_is_no_request_is_counted_and_not_logged(
    sent: bytes, counted: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        places = Places()
        made = listener(Limits(header_bytes=16_000, body_bytes=64_000), places=places)
        async with connected(made) as (reader, writer):
            writer.write(sent)
            if counted:
                assert await asyncio.wait_for(reader.read(), 10) is not None
        # Who hangs up has asked for nothing.
        while made.held:  # noqa: ASYNC110 - no listener tells when
            await asyncio.sleep(0.001)
        assert places.malformed == counted
        made.stop()
        await made.close()

    asyncio.run(main())
    assert not caplog.records


def test_a_kept_connection_may_idle_no_longer_than_a_new_one() -> None:
    async def main() -> None:
        made = listener(Limits(idle_seconds=0.05))
        async with connected(made) as (reader, writer):
            writer.write(HEALTH)
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.endswith(b"OK\n")
        made.stop()
        await made.close()

    asyncio.run(main())


class Slow(HTTPServerConnectionDelegate):
    """Answers much later than a connection may idle."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return SlowExchange(request_conn)


class SlowExchange(Heard):
    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection

    def finish(self) -> None:
        asyncio.get_running_loop().call_later(0.3, self.answer)

    def answer(self) -> None:
        line = ResponseStartLine("HTTP/1.1", 200, "OK")
        _ = self.connection.write_headers(line, HTTPHeaders({"Content-Length": "0"}))
        self.connection.finish()


def test_who_waits_for_an_answer_does_not_idle() -> None:
    async def main() -> None:
        made = Listener(LOOPBACK, Slow(), Limits(idle_seconds=0.05))
        async with connected(made) as (reader, writer):
            writer.write(HEALTH)
            assert await first(reader) == b"HTTP/1.1 200 OK"
        made.stop()
        await made.close()

    asyncio.run(main())


def test_one_address_cannot_take_every_place() -> None:
    async def main() -> None:
        places = Places()
        made = listener(Limits(connections=8, connections_of_vm=1), places=places)
        async with connected(made) as (reader, writer):
            writer.write(HEALTH)
            assert await first(reader) == b"HTTP/1.1 200 OK"
            assert not await answered(made)
            assert await answered(made, local="127.0.0.2")
        assert places.hits == {"connections_of_vm": 1}
        made.stop()
        await made.close()

    asyncio.run(main())


def test_an_answer_that_nobody_takes_is_not_kept() -> None:
    def large() -> Reply:
        return Reply(200, bytes(32 << 20))

    async def main() -> None:
        made = Listener(LOOPBACK, Operator({"/": large}, Hosts()), Limits(idle_seconds=0.3))
        async with connected(made) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in range(200):
                await asyncio.sleep(0.05)
                if made.sending:
                    break
            for _ in range(400):
                await asyncio.sleep(0.05)
                if not made.sending:
                    break
            assert not made.sending
        made.stop()
        await made.close()

    asyncio.run(main())


def test_where_it_listens_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        over_tcp = listener(Limits())
        assert over_tcp.url == f"http://{over_tcp}"
        path = tmp_path / "s"
        over_unix = listener(Limits(), Endpoint(path=str(path)))
        assert (str(over_unix), over_unix.url) == (f"unix:{path}", "")
        over_unix.stop()
        over_tcp.stop()
        assert not path.exists()

    asyncio.run(main())


def test_who_has_most_makes_room_for_who_has_less() -> None:
    async def main() -> None:
        places = Places()
        made = listener(Limits(connections=4), places=places)
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(connected(made)) for _ in range(4)]
            crowd[0][1].write(HEALTH)
            assert await first(crowd[0][0]) == b"HTTP/1.1 200 OK"
            # The one that idles longest goes: not the first, which has asked since.
            reader, writer = await stack.enter_async_context(connected(made, "127.0.0.2"))
            assert await first(crowd[1][0]) == b""
            # The others stay, and those who have most get no more.
            assert not await answered(made)
            for one, other in (*crowd[2:], (reader, writer)):
                other.write(HEALTH)
                assert await first(one) == b"HTTP/1.1 200 OK"
            assert places.hits == {"connections": 2}
        made.stop()
        await made.close()

    asyncio.run(main())


def test_who_waits_for_an_answer_makes_no_room() -> None:
    async def main() -> None:
        made = Listener(LOOPBACK, Slow(), Limits(connections=2))
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(connected(made)) for _ in range(2)]
            for _, writer in crowd:
                writer.write(HEALTH)
            await asyncio.sleep(0.1)
            assert not await answered(made, "127.0.0.2")
            for reader, _ in crowd:
                assert await first(reader) == b"HTTP/1.1 200 OK"
        made.stop()
        await made.close()

    asyncio.run(main())
