"""Listening sockets with Tornado's HTTP server behind each, bounded as configured."""

from __future__ import annotations

import logging
import socket
import ssl

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.iostream import IOStream

from emulator.model.config import Limits
from emulator.runtime.sockets import Endpoint, listen, release

_log = logging.getLogger("imds")


class _BoundedServer(HTTPServer):
    """Tornado's server, which takes no more connections than it may."""

    def initialize(  # type: ignore[override]  # Tornado's own signature is open to subclasses
        self, delegate: HTTPServerConnectionDelegate, limits: Limits, tls: ssl.SSLContext | None
    ) -> None:
        self._most = limits.connections
        super().initialize(
            delegate,
            ssl_options=tls,
            max_header_size=limits.header_bytes,
            max_body_size=limits.body_bytes,
            max_buffer_size=limits.header_bytes + limits.body_bytes,
            idle_connection_timeout=limits.idle_seconds,
            body_timeout=limits.body_seconds,
        )

    def handle_stream(self, stream: IOStream, address: tuple[object, ...]) -> None:
        """Serve a new connection, or close it at once when there are too many."""
        if len(self._connections) >= self._most:
            stream.close()
            return
        super().handle_stream(stream, address)


class Listener:
    """One endpoint that is being served."""

    def __init__(
        self,
        endpoint: Endpoint,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen on ``endpoint``; raise ``StartError``."""
        self.endpoint = endpoint
        self._scheme = "https" if tls else "http"
        self._socket = listen(endpoint)
        self._server = _BoundedServer(delegate, limits, tls)
        self._server.add_socket(self._socket)

    def __str__(self) -> str:
        """Give the address that clients use: the port that was bound, not the zero asked for."""
        if self._socket.family == socket.AF_UNIX:
            return f"unix:{self._socket.getsockname()}"
        host, port, *_ = self._socket.getsockname()
        return str(Endpoint(host=host, port=port))

    @property
    def url(self) -> str:
        """Give the base URL of a TCP listener, empty for a unix socket."""
        return "" if self._socket.family == socket.AF_UNIX else f"{self._scheme}://{self}"

    def stop(self) -> None:
        """Take no new connections."""
        self._server.stop()
        release(self.endpoint)

    async def close(self) -> None:
        """End the connections that are left."""
        await self._server.close_all_connections()
