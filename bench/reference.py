"""What this product is measured against: the least that Tornado can do, and its usual way.

``python -m bench.reference bare|handler PORT SIZE`` answers every request with the same SIZE
bytes: ``bare`` through a connection delegate, ``handler`` through ``tornado.web``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    ResponseStartLine,
)

if TYPE_CHECKING:
    from tornado.web import Application

TYPE = "application/json"


class Bare(HTTPServerConnectionDelegate):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        del server_conn
        return _Exchange(request_conn, self._body)


class _Exchange(HTTPMessageDelegate):
    def __init__(self, connection: HTTPConnection, body: bytes) -> None:
        self._connection = connection
        self._body = body

    def finish(self) -> None:
        headers = HTTPHeaders({"Content-Type": TYPE, "Content-Length": str(len(self._body))})
        line = ResponseStartLine("HTTP/1.1", 200, "OK")
        _ = self._connection.write_headers(line, headers, self._body)
        self._connection.finish()


def _application(body: bytes) -> Application:
    from tornado.web import Application, RequestHandler  # noqa: PLC0415 - bare leaves it out

    class Handler(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", TYPE)
            self.write(body)

    return Application([(r"/.*", Handler)])


async def _serve(kind: str, port: int, size: int) -> None:
    body = b"x" * size
    server = HTTPServer(Bare(body) if kind == "bare" else _application(body))
    server.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
