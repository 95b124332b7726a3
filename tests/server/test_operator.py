"""The operator's listener: what it shows, and to whom it may be open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError

from emulator.core.message import Reply
from emulator.core.policy import Hosts
from emulator.errors import ConfigError
from emulator.runtime.sockets import parse
from emulator.server.operator import Operator, Page, Readiness, check_exposure


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


class Long:
    """A page that takes several turns."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.over = asyncio.Event()
        self.fails = False

    async def __call__(self) -> Reply:
        try:
            await self.go_on.wait()
            if self.fails:
                raise RuntimeError("no such figure")
            return Reply(200, b"long\n")
        finally:
            self.over.set()


@pytest.fixture
def long() -> Long:
    return Long()


@pytest.fixture
def app(readiness: Readiness, long: Long) -> Operator:
    pages: dict[str, Page] = {
        "/healthz": readiness.health,
        "/readyz": readiness.page,
        "/long": long,
    }
    return Operator(pages, Hosts(["ops.example"]))


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def ask(http_client: AsyncHTTPClient, http_server: Any, base_url: str) -> Ask:
    async def asking(
        path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> HTTPResponse:
        return await http_client.fetch(
            base_url + path, method=method, body=body, headers=headers, raise_error=False
        )

    return asking


@pytest.mark.gen_test
async def test_readiness_says_what_is_missing(ask: Ask, readiness: Readiness) -> None:
    assert (await ask("/healthz")).body == b"OK\n"
    response = await ask("/readyz")
    assert response.code == 503
    assert json.loads(response.body)["not_ready"] == {"listeners": "not listening yet"}
    readiness.set("listeners", "")
    readiness.set("listeners", "")
    assert (await ask("/readyz")).code == 200


@pytest.mark.gen_test
async def test_the_rest_is_refused(ask: Ask) -> None:
    assert (await ask("/other")).code == 404
    response = await ask("/healthz", "POST", b"")
    assert (response.code, response.headers["Allow"]) == (405, "GET, HEAD")
    headed = await ask("/healthz", "HEAD")
    assert (headed.code, headed.headers["Content-Length"]) == (200, "3")
    assert headed.headers["Cache-Control"] == "no-store"


@pytest.mark.gen_test
async def test_others_are_answered_while_a_page_is_made(ask: Ask, long: Long) -> None:
    waiting = asyncio.ensure_future(ask("/long"))
    assert (await ask("/healthz")).code == 200
    assert not waiting.done()
    long.go_on.set()
    assert (await waiting).body == b"long\n"


@pytest.mark.gen_test
async def test_a_page_that_fails_ends_the_connection_and_is_logged(
    ask: Ask, long: Long, caplog: pytest.LogCaptureFixture
) -> None:
    long.fails = True
    long.go_on.set()
    with pytest.raises(HTTPStreamClosedError):
        await ask("/long")
    assert "answer to the operator failed" in caplog.text
    caplog.clear()


@pytest.mark.gen_test
async def test_who_hangs_up_before_a_page_is_made_gets_none(
    long: Long, http_server: Any, http_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", http_port)
    writer.write(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.close()
    await asyncio.sleep(0.05)
    long.go_on.set()
    await long.over.wait()
    await asyncio.sleep(0.05)
    assert not caplog.records


@pytest.mark.parametrize(
    ("host", "status"),
    [("ops.example:16926", 200), ("localhost", 200), ("[::1]", 200), ("page.example", 403)],
)
@pytest.mark.gen_test
async def test_a_page_whose_name_leads_here_reads_nothing(
    ask: Ask, host: str, status: int
) -> None:
    assert (await ask("/healthz", Host=host)).code == status


@pytest.mark.parametrize("where", ["127.0.0.1:1", "[::1]:1", "unix:/run/s"])
def test_what_only_this_machine_reaches_is_fine(where: str) -> None:
    check_exposure(parse(where, "--operator"), tls=False)


@pytest.mark.parametrize("where", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"])
def test_what_others_reach_needs_tls(where: str) -> None:
    check_exposure(parse(where, "--operator"), tls=True)
    with pytest.raises(ConfigError, match="--operator-cert"):
        check_exposure(parse(where, "--operator"), tls=False)


def test_a_cause_may_hold_bytes_that_no_json_can(readiness: Readiness) -> None:
    readiness.set("descriptions", "\udcff.yaml")
    assert b"udcff.yaml" in readiness.page().body
