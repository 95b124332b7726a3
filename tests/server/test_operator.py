"""The operator's listener: what it shows, and to whom it may be open."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from emulator.core.policy import Hosts
from emulator.errors import ConfigError
from emulator.runtime.sockets import parse
from emulator.server.operator import Operator, Readiness, check_exposure


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def app(readiness: Readiness) -> Operator:
    pages = {"/healthz": readiness.health, "/readyz": readiness.page}
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
