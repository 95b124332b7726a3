"""Requests through Tornado's HTTP, answers from the core: the delegate in a running loop."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from emulator.core.message import ServiceToken
from emulator.errors import ConfigError, Problem, TokenUnavailable
from emulator.model.instance import Instance
from emulator.observe.observation import Observation
from emulator.server.delegate import Front
from emulator.server.fleet import Fleet
from emulator.server.hub import Hub
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from tests.server.support import Bench

METADATA = {"Metadata": "true"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def seen() -> list[Observation]:
    return []


@pytest.fixture
def hub(bench: Bench, seen: list[Observation]) -> Hub:
    fleet = Fleet([bench.machine("name: web-1")], sole=True, proxies=Proxies(frozenset(), b""))
    anyone = bench.backing.renderer.anyone()
    return Hub(fleet, bench.backing.ports, [seen.append], anyone)


@pytest.fixture
def app(hub: Hub) -> Front:
    return Front(hub, "")


Ask = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def ask(http_client: AsyncHTTPClient, http_server: Any, base_url: str) -> Ask:
    async def asking(path: str, method: str = "GET", **options: Any) -> HTTPResponse:
        request = HTTPRequest(base_url + path, method, allow_nonstandard_methods=True, **options)
        return await http_client.fetch(request, raise_error=False)

    return asking


@pytest.mark.gen_test
async def test_a_document_is_answered(ask: Ask) -> None:
    response = await ask("/openstack/latest/meta_data.json")
    assert response.code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert "Server" not in response.headers
    assert response.headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert json.loads(response.body)["name"] == "web-1"


@pytest.mark.gen_test
async def test_head_is_get_without_a_body(ask: Ask) -> None:
    got = await ask("/latest/meta-data/instance-id")
    headed = await ask("/latest/meta-data/instance-id", "HEAD")
    assert headed.body == b""
    assert headed.headers == got.headers
    assert int(headed.headers["Content-Length"]) == len(got.body)


@pytest.mark.gen_test
async def test_a_refusal_speaks_the_dialect(ask: Ask, seen: list[Observation]) -> None:
    response = await ask("/v1/token")
    assert (response.code, json.loads(response.body)["error"]) == (400, "missing_header")
    assert [(one.status, one.reason) for one in seen] == [(400, "header-missing")]


@pytest.mark.gen_test
async def test_a_stranger_gets_nothing(ask: Ask, hub: Hub, seen: list[Observation]) -> None:
    hub.fleet = Fleet([], sole=False, proxies=Proxies(frozenset(), b""))
    assert (await ask("/openstack")).code == 404
    assert (await ask("/healthz")).code == 200
    assert (await ask("/healthz", "PUT", body=b"")).code == 404
    assert [(one.vm, one.reason) for one in seen] == [
        ("", "unknown-vm"),
        ("", ""),
        ("", "unknown-vm"),
    ]


@pytest.mark.gen_test
async def test_a_waited_for_answer_arrives(ask: Ask) -> None:
    response = await ask("/v1/token", headers=METADATA)
    assert json.loads(response.body)["token"] == "t.o.ken"


@pytest.mark.gen_test
async def test_the_posted_password_is_kept(
    ask: Ask, bench: Bench, hub: Hub, seen: list[Observation]
) -> None:
    path = "/openstack/2013-04-04/password"
    assert (await ask(path, "POST", body=b"cipher")).code == 200
    assert (await ask(path)).body == b"cipher"
    assert (await ask(path, "POST", body=b"again")).code == 409
    assert seen[-1].reason == "conflict"
    again = Machine(hub.fleet.machines[0].instance, bench.backing)
    assert again.password() == b"cipher"


def failing(error: Exception) -> Callable[[Instance, str], Awaitable[ServiceToken | None]]:
    async def token(_instance: Instance, _audience: str) -> ServiceToken | None:
        raise error

    return token


@pytest.mark.gen_test
@pytest.mark.parametrize("error", [TokenUnavailable("gone"), RuntimeError("broken")])
async def test_a_failure_is_the_dialects_error_and_no_traceback(
    ask: Ask, bench: Bench, error: Exception, seen: list[Observation]
) -> None:
    bench.backing.tokens = failing(error)
    response = await ask("/v1/token", headers=METADATA)
    assert response.code == 500
    assert json.loads(response.body)["error"] == "token_unavailable"
    assert seen[-1].status == 500


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("error", "traced"), [(TokenUnavailable("gone"), False), (RuntimeError("broken"), True)]
)
async def test_only_what_is_not_expected_is_logged_with_a_traceback(
    ask: Ask, bench: Bench, caplog: pytest.LogCaptureFixture, *, error: Exception, traced: bool
) -> None:
    bench.backing.tokens = failing(error)
    await ask("/v1/token", headers=METADATA)
    (record,) = (record for record in caplog.records if record.name == "imds")
    assert record.getMessage() == f"web-1: GET /v1/token: {error}"
    assert bool(record.exc_info) is traced


@pytest.mark.gen_test
async def test_state_that_cannot_be_written_is_no_lost_password(
    ask: Ask, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.state.path("instances").parent.mkdir(parents=True, exist_ok=True)
    bench.state.path("instances").write_text("a file where a folder should be")
    with caplog.at_level(logging.CRITICAL):
        response = await ask("/openstack/2013-04-04/password", "POST", body=b"cipher")
    assert response.code == 500


@pytest.mark.gen_test
async def test_documents_that_cannot_be_rendered_are_an_error_not_a_hang(
    ask: Ask, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ConfigError(Problem("t", 1, "", "a mistake", "none"))

    monkeypatch.setattr("emulator.render.renderer.Renderer.snapshot", broken)
    assert (await ask("/openstack")).code == 500


@pytest.mark.gen_test
async def test_the_observation_says_what_happened_without_what_is_secret(
    ask: Ask, seen: list[Observation]
) -> None:
    await ask("/v1/token?audience=", headers=METADATA, user_agent="x " * 150)
    await ask("/healthz", "M" * 300)
    assert seen[1].method == "M" * 200 + "…"
    observation = seen[0]
    assert observation.dialect == "kubevirt"
    assert observation.path == "/v1/token"
    assert observation.status == 200
    assert observation.peer == "127.0.0.1"
    assert observation.user_agent == "x " * 100 + "…"
    assert "t.o.ken" not in repr(observation)


def raw(port: int, request: bytes, ending: bytes) -> bytes:
    """Give the answer up to ``ending``."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(ending):
            answer += connection.recv(65536)
    return answer


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("version", "wish", "fate"),
    [
        ("1.1", b"", b""),
        ("1.1", b"Connection: close\r\n", b"Connection: close"),
        ("1.0", b"", b""),
        ("1.0", b"Connection: keep-alive\r\n", b"Connection: keep-alive"),
    ],
)
async def test_the_connections_fate_is_said(
    http_server: Any, http_port: int, version: str, wish: bytes, fate: bytes
) -> None:
    request = b"GET /healthz HTTP/%s\r\nHost: metadata\r\n%s\r\n" % (version.encode(), wish)
    answer = await asyncio.to_thread(raw, http_port, request, b"\r\n\r\nOK")
    head = answer.partition(b"\r\n\r\n")[0]
    assert fate in head
    assert bool(fate) == (b"Connection:" in head)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"/openstack", b"metadata", 200),
        (b"/openstack", b"page.example", 403),
        (b"http://page.example/openstack", b"169.254.169.254", 403),
        (b"http://169.254.169.254/openstack", b"169.254.169.254", 200),
        (b"http://169.254.169.254/openstack", b"page.example", 403),
        (b"/openstack", b"metadata\r\nHost: page.example", 403),
        (b"/healthz", b"page.example", 200),
        (b"/computeMetadata/v1/", b"page.example", 404),
    ],
)
async def test_a_page_whose_name_leads_here_reads_nothing(
    http_server: Any, http_port: int, target: bytes, host: bytes, status: int
) -> None:
    request = b"HEAD %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, host)
    answer = await asyncio.to_thread(raw, http_port, request, b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.gen_test
async def test_a_guest_that_hangs_up_is_forgotten(
    http_server: Any, http_port: int, bench: Bench, hub: Hub
) -> None:
    asked, dropped = asyncio.Event(), asyncio.Event()

    async def token(_instance: Instance, _audience: str) -> ServiceToken | None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            dropped.set()
        return None

    bench.backing.tokens = token
    _, writer = await asyncio.open_connection("127.0.0.1", http_port)
    writer.write(b"GET /v1/token HTTP/1.1\r\nHost: metadata\r\nMetadata: true\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 10)
    writer.close()
    await asyncio.wait_for(dropped.wait(), 10)
    await asyncio.wait_for(hub.quiet(), 10)


@pytest.mark.gen_test
async def test_who_asks_for_a_session_and_hangs_up_is_not_missed(
    http_server: Any,
    http_port: int,
    bench: Bench,
    hub: Hub,
    seen: list[Observation],
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = bench.machine("name: web-1\ndialects: [ec2]")
    hub.fleet = Fleet([machine], sole=True, proxies=Proxies(frozenset(), b""))
    ask = b"PUT /latest/api/token HTTP/1.1\r\nHost: metadata\r\n"
    ask += b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
    with socket.create_connection(("127.0.0.1", http_port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        _ = await asyncio.to_thread(connection.recv, 65536)
        # The request and the end of the connection are there when the server looks again.
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sendall(ask)
    await asyncio.sleep(0.2)
    await asyncio.wait_for(hub.quiet(), 10)
    # Nobody was given a token: that is no access.
    assert {(one.path, one.status) for one in seen} == {("/healthz", 200)}
    assert caplog.text == ""
