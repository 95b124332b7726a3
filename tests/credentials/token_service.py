"""A token service on loopback: STS, a token endpoint or ``generateAccessToken``, as told."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of its form, each of which must be there once."""
        fields = parse_qs(self.body.decode(), strict_parsing=True, keep_blank_values=True)
        assert all(len(values) == 1 for values in fields.values())
        return {name: values[0] for name, values in fields.items()}


class Says(msgspec.Struct, frozen=True):
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}

    @classmethod
    def json(cls, document: Any, status: int = 200) -> Says:
        """Give one that holds a document."""
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


class TokenService:
    """Notes what it is asked, and answers by path.

    ``gate`` holds answers back while it is clear; ``came`` is set once something was asked.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.says: dict[str, Says] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.came = threading.Event()
        self._port = 0
        self.start()

    def start(self) -> None:
        """Listen, at the same port as before."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                asked = Asked(self.path, dict(self.headers), self.rfile.read(length))
                service.asked.append(asked)
                service.came.set()
                service.gate.wait(20)
                said = service.says[self.path]
                self.send_response(said.status)
                for name, value in {**said.headers, "Content-Length": str(len(said.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                # Who has heard enough hangs up.
                with suppress(OSError):
                    self.wfile.write(said.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Be gone: connections are refused."""
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
