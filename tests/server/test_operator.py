"""The operator's listener: what it shows, and to whom it may be open."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from emulator.errors import ConfigError
from emulator.runtime.sockets import Endpoint
from emulator.server.operator import Operator, Readiness, check_exposure


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def app(readiness: Readiness) -> Operator:
    return Operator({"/healthz": readiness.health, "/readyz": readiness.page})


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def ask(http_client: AsyncHTTPClient, http_server: Any, base_url: str) -> Ask:
    async def asking(path: str, method: str = "GET", body: bytes | None = None) -> HTTPResponse:
        return await http_client.fetch(
            base_url + path, method=method, body=body, raise_error=False
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
    "endpoint",
    [
        Endpoint(host="127.0.0.1", port=1),
        Endpoint(host="::1", port=1),
        Endpoint(host="localhost", port=1),
        Endpoint(path="/run/s"),
        Endpoint(fd=3),
    ],
)
def test_what_only_this_machine_reaches_is_fine(endpoint: Endpoint) -> None:
    check_exposure(endpoint, tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.internal"])  # noqa: S104
def test_what_others_reach_needs_tls(host: str) -> None:
    check_exposure(Endpoint(host=host, port=1), tls=True)
    with pytest.raises(ConfigError, match="--operator-cert"):
        check_exposure(Endpoint(host=host, port=1), tls=False)
