"""The operator's listener: health, readiness, metrics, and the keys that verify signatures."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from emulator.core.message import JSON, Reply
from emulator.core.paths import authority, split_target
from emulator.core.policy import Hosts
from emulator.errors import ConfigError, Problem
from emulator.runtime.sockets import Endpoint
from emulator.runtime.tasks import spawn
from emulator.server.listeners import Heard, peer_of

Page = Callable[[], Reply | Awaitable[Reply]]

_MISSING = Reply(404, b"404 Not Found\n")
_FOREIGN = Reply(403, b"403 Forbidden\n")
_READ_ONLY = Reply(405, b"405 Method Not Allowed\n", headers=(("Allow", "GET, HEAD"),))
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def check_exposure(address: Endpoint, *, tls: bool) -> None:
    """Raise ``ConfigError`` for an address that others can reach, unless with TLS."""
    if address.path or tls or ipaddress.ip_address(address.host).is_loopback:
        return
    allowed = "loopback, unix:PATH, or with --operator-cert and --operator-key"
    raise ConfigError(Problem("command line", 0, "--operator", str(address), allowed))


class Readiness:
    """What is not ready now, by cause; empty means ready."""

    def __init__(self) -> None:
        """Start as not listening yet."""
        self._causes: dict[str, str] = {"listeners": "not listening yet"}

    def set(self, cause: str, reason: str) -> None:
        """Record ``reason`` for ``cause``, or clear it if empty."""
        if reason:
            # A file's name may hold bytes that no JSON can.
            self._causes[cause] = reason.encode("utf-8", "backslashreplace").decode()
        else:
            self._causes.pop(cause, None)

    @property
    def ready(self) -> bool:
        """Whether nothing is amiss."""
        return not self._causes

    def health(self) -> Reply:
        """Answer ``/healthz``: the process answers."""
        return Reply(200, b"OK\n")

    def page(self) -> Reply:
        """Answer ``/readyz``: 200, or 503 with what is not ready."""
        document = {"ready": self.ready, "not_ready": self._causes}
        status = 503 if self._causes else 200
        return Reply(status, msgspec.json.encode(document) + b"\n", JSON)


class Operator(HTTPServerConnectionDelegate):
    """Answers the operator from a table of pages."""

    def __init__(self, pages: Mapping[str, Page], hosts: Hosts) -> None:
        """Serve ``pages`` by path to who asks by one of ``hosts``; a unix socket has no name."""
        self.pages = pages
        self.hosts = hosts

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin an exchange (called by Tornado)."""
        del server_conn
        assert isinstance(request_conn, HTTP1Connection)  # noqa: S101 - the only kind Tornado has
        return _Exchange(self, request_conn)


class _Exchange(Heard):
    def __init__(self, operator: Operator, connection: HTTP1Connection) -> None:
        self._operator = operator
        self._connection = connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Keep the start line (called by Tornado)."""
        super().headers_received(start_line, headers)
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server reads requests
        self._line = start_line
        self._host = headers.get("Host")

    def finish(self) -> None:
        """Answer."""
        reply = self._reply()
        if isinstance(reply, Reply):
            self._answer(reply)
        else:
            _ = spawn(self._later(reply), "answer to the operator")

    async def _later(self, pending: Awaitable[Reply]) -> None:
        try:
            reply = await pending
        except Exception:
            self._connection.close()
            raise
        # Who hung up meanwhile gets none.
        if not self._connection.stream.closed():
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        headers = HTTPHeaders(_HEADERS)
        for name, value in reply.headers:
            headers.add(name, value)
        headers["Content-Type"] = reply.type
        headers["Content-Length"] = str(len(reply.body))
        line = ResponseStartLine("HTTP/1.1", reply.status, HTTPStatus(reply.status).phrase)
        body = b"" if self._line.method == "HEAD" else reply.body
        _ = self._connection.write_headers(line, headers, body)
        self._connection.finish()

    def _reply(self) -> Reply | Awaitable[Reply]:
        hosts = self._operator.hosts
        foreign = hosts.foreign(self._host) or hosts.foreign(authority(self._line.path))
        if foreign and peer_of(self._connection.context):
            return _FOREIGN
        page = self._operator.pages.get(split_target(self._line.path)[0])
        if page is None:
            return _MISSING
        return page() if self._line.method in {"GET", "HEAD"} else _READ_ONLY
