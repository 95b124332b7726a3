"""The operator's listener: health, readiness, and the keys that verify what was signed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from emulator.core.message import JSON, Reply
from emulator.core.paths import split_target
from emulator.errors import ConfigError, Problem
from emulator.runtime.sockets import Endpoint
from emulator.server.listeners import Heard

Page = Callable[[], Reply]

_MISSING = Reply(404, b"404 Not Found\n")
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

    def health(self) -> Reply:
        """Answer ``/healthz``: the process answers."""
        return Reply(200, b"OK\n")

    def page(self) -> Reply:
        """Answer ``/readyz``: 200, or 503 with what is not ready."""
        document = {"ready": not self._causes, "not_ready": self._causes}
        status = 503 if self._causes else 200
        return Reply(status, msgspec.json.encode(document) + b"\n", JSON)


class Operator(HTTPServerConnectionDelegate):
    """Answers the operator from a table of pages."""

    def __init__(self, pages: dict[str, Page]) -> None:
        """Serve ``pages`` by path."""
        self.pages = pages

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin an exchange (called by Tornado)."""
        del server_conn
        return _Exchange(self.pages, request_conn)


class _Exchange(Heard):
    def __init__(self, pages: dict[str, Page], connection: HTTPConnection) -> None:
        self._pages = pages
        self._connection = connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Keep the start line (called by Tornado)."""
        super().headers_received(start_line, headers)
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server reads requests
        self._line = start_line

    def finish(self) -> None:
        """Answer."""
        reply = self._reply()
        headers = HTTPHeaders(_HEADERS)
        for name, value in reply.headers:
            headers.add(name, value)
        headers["Content-Type"] = reply.type
        headers["Content-Length"] = str(len(reply.body))
        line = ResponseStartLine("HTTP/1.1", reply.status, HTTPStatus(reply.status).phrase)
        body = b"" if self._line.method == "HEAD" else reply.body
        _ = self._connection.write_headers(line, headers, body)
        self._connection.finish()

    def _reply(self) -> Reply:
        page = self._pages.get(split_target(self._line.path)[0])
        if page is None:
            return _MISSING
        return page() if self._line.method in {"GET", "HEAD"} else _READ_ONLY
