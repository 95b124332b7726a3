"""What seldom happens: mistakes of our own, and too much at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.web import Application

from emulator.webhook import handlers
from emulator.webhook.handlers import Service, application
from emulator.webhook.journal import Journal
from emulator.webhook.verdict import Request, Verdict
from tests.support.ports import FakePorts
from tests.webhook.process import reviewed
from tests.webhook.support import SETTINGS, instance


class Shown:
    """Stands in for a certificate: these connections have none."""

    problem = ""


@pytest.fixture
def service(fake_ports: FakePorts) -> Service:
    shown: Any = Shown()
    return Service(SETTINGS, shown, Journal(quiet=True), fake_ports.ports)


@pytest.fixture
def app(service: Service) -> Application:
    return application(service)


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def ask(http_client: AsyncHTTPClient, http_server: Any, base_url: str) -> Ask:
    async def asking(body: bytes = b"") -> HTTPResponse:
        return await http_client.fetch(
            f"{base_url}/mutate",
            method="POST",
            headers={"Content-Type": "application/json; charset=utf-8"},
            body=body or json.dumps(reviewed(instance())).encode(),
            raise_error=False,
        )

    return asking


@pytest.mark.gen_test
async def test_a_mistake_of_our_own_refuses_and_tells_nothing(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "user data".upper()

    def broken(_request: Request, _settings: object) -> Verdict:
        raise ValueError(secret)

    monkeypatch.setitem(handlers._PATHS, "/mutate", broken)
    with caplog.at_level(logging.ERROR):
        response = await ask()
    assert (response.code, response.body) == (500, b"500 Internal Server Error\n")
    [record] = caplog.records
    assert "ValueError on /mutate" in record.getMessage()
    assert "in broken" in record.getMessage()
    assert secret not in record.getMessage()
    assert record.exc_info is None


@pytest.mark.gen_test
async def test_too_much_at_once_is_put_off(
    ask: Ask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "MAX_HELD", 100)
    response = await ask()
    assert (response.code, response.body) == (503, b"503 too much at once; ask again\n")
    assert (service.held, service.busy) == (0, set())
    monkeypatch.setattr(handlers, "MAX_HELD", 10_000)
    assert (await ask()).code == 200
    assert (service.held, service.busy) == (0, set())


@pytest.mark.gen_test
async def test_a_stopping_service_answers_and_hangs_up(ask: Ask, service: Service) -> None:
    service.stopping = True
    response = await ask()
    assert (response.code, response.headers["Connection"]) == (200, "close")


def test_a_log_that_cannot_be_written_costs_no_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    service.journal = Journal(quiet=False)
    monkeypatch.setattr("sys.stderr.fileno", lambda: 2, raising=False)
    answer = json.loads(service.decide(json.dumps(reviewed(instance())).encode(), "/mutate"))
    assert answer["response"]["allowed"] is True
