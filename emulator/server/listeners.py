"""Listening sockets with Tornado's HTTP server behind each, bounded as configured."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec
from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import IOStream
from tornado.iostream import UnsatisfiableReadError as TooLong

from emulator.core.bucket import Crowd, Hits
from emulator.model.config import Limits
from emulator.runtime.sockets import Acceptor, Endpoint, bound, listen, release
from emulator.server.log import note_endings

if TYPE_CHECKING:
    from emulator.server.turns import Turns

_log = logging.getLogger("imds")


# One that is ended because no whole request came counts as so many more: no client sends such,
# and some cost a hundred times a request.
_SPOILT = 50

# As whose connections to the operator's socket are counted.
_UNIX = "unix"

# So many looks at all connections in the time that one may idle.
_LOOKS = 4

# Seconds before a silent peer is asked, and between asking again, as parts of the idle time.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 0.5, socket.TCP_KEEPINTVL: 0.125}


class Heard(HTTPMessageDelegate):
    """One request and its answer.

    ``heard`` once the request's head has arrived; ``hanging`` while it waits for a change, or for
    its turn.
    """

    heard = False
    hanging = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Note it (called by Tornado)."""
        del start_line, headers
        self.heard = True


def _each_address(peer: str) -> str | None:
    return peer or None


class Places:
    """Whose a listener's connections are, and how many only wait for a change.

    Descriptors of its connections are below ``ceiling``. They are taken in ``turns``, on the
    account that ``payer`` names for a peer, by default each on its own: a machine's UUID, or empty
    for strangers'; None if it has no limit, as there are several at the other end.
    """

    def __init__(
        self,
        hits: Hits | None = None,
        malformed: Counter[str] | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        """Start with none; ``hits`` counts connections turned away, by the limit's name.

        ``malformed`` counts those that were ended without a whole request, by reason. ``crowd``
        are the connections of this listener and of others.
        """
        self.hits = Hits() if hits is None else hits
        self.malformed: Counter[str] = Counter() if malformed is None else malformed
        self.crowd = Crowd() if crowd is None else crowd
        self.ceiling = sys.maxsize
        self.turns: Turns | None = None
        self.payer: Callable[[str], str | None] = _each_address
        self.waiting = 0

    def whose(self, peer: str) -> str:
        """Say as whose a connection of ``peer`` is counted."""
        payer = self.payer(peer)
        return payer if payer is not None else peer or _UNIX

    def take(self, whose: str) -> None:
        """Count another one that waits."""
        self.waiting += 1
        self.crowd.waits(whose)

    def give(self, whose: str) -> None:
        """Count one less."""
        self.waiting -= 1
        self.crowd.waited(whose)


def peer_of(context: object) -> str:
    """Give the address that a connection came from, empty on a unix socket."""
    return _peer(getattr(context, "address", None))


def _peer(address: object) -> str:
    return str(address[0]) if isinstance(address, tuple) else ""


def _whose(stream: IOStream) -> str:
    found: str = stream.whose  # type: ignore[attr-defined]  # see _BoundedServer.handle_stream
    return found


class _Wait(msgspec.Struct, frozen=True):
    """A request that is due since ``since`` (the loop's time)."""

    since: float
    request: HTTPMessageDelegate

    @property
    def idle(self) -> bool:
        """Whether nothing of it has come yet."""
        return isinstance(self.request, Heard) and not self.request.heard


class _BoundedServer(HTTPServer):
    """Tornado's server, which holds no more connections than it may, and none that only idles.

    Tornado's own limit for a request's head costs a timer, two futures and five callbacks for each
    request, an eighth of all its work. A look at all connections now and then does as well.
    """

    def initialize(  # type: ignore[override]  # Tornado's own signature is open to subclasses
        self,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        places: Places,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._limits = limits
        self._places = places
        self._put_off = 0
        self._waits: dict[object, _Wait] = {}
        self._looks = PeriodicCallback(self._look, limits.idle_seconds / _LOOKS * 1000)
        super().initialize(
            delegate,
            ssl_options=tls,
            max_header_size=limits.header_bytes,
            max_body_size=limits.body_bytes,
            max_buffer_size=limits.header_bytes + limits.body_bytes,
            body_timeout=limits.body_seconds,
        )
        self.conn_params.header_timeout = None
        note_endings()
        self._looks.start()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Take connections from ``sockets`` in our own way."""
        for one in sockets:
            acceptor = Acceptor(one, self._handle_connection, self._exhausted)
            self._sockets[one.fileno()] = one
            self._handlers[one.fileno()] = acceptor.stop

    def _exhausted(self) -> None:
        self._places.hits.note("descriptors")

    def _handle_connection(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Serve a new connection, or close it at once when there are too many.

        Before anything is made for it: one that is turned away costs a tenth.
        """
        peer = _peer(address)
        payer = self._places.payer(peer)
        hit = self._hit(connection, payer)
        if hit:
            mine = hit == "connections_of_vm"
            # Where there are no turns there is one machine, or the operator.
            self._places.hits.note(hit, payer if mine and self._places.turns else None)
            if mine or not self._made_room(self._places.whose(peer)):
                connection.close()
                return
            # To the number that has just become free: those above are for others.
            taken, connection = connection, connection.dup()
            taken.close()
        turns = self._places.turns
        if turns is None or payer is None or turns.now(payer):
            super()._handle_connection(connection, address)
        else:
            self._put_off += 1
            _ = turns.later(payer, partial(self._begin, connection, address))

    def _begin(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Serve a connection that had to wait for its turn."""
        self._put_off -= 1
        super()._handle_connection(connection, address)

    def handle_stream(self, stream: IOStream, address: tuple[object, ...]) -> None:
        """Note whose it is, and serve it (called by Tornado)."""
        whose = self._places.whose(_peer(address))
        # By a reload its address may become another's before it ends.
        stream.whose = whose  # type: ignore[attr-defined]
        self._places.crowd.begins(whose)
        super().handle_stream(stream, address)

    def _hit(self, connection: socket.socket, payer: str | None) -> str:
        """Name the limit that another connection of ``payer`` would exceed, empty if none.

        One machine cannot take all places, so that one guest does not shut out the others.
        """
        places, limits = self._places, self._limits
        if payer is not None:
            put_off = places.turns.waiting(payer) if places.turns is not None else 0
            if places.crowd.busy(payer) + put_off >= limits.connections_of_vm:
                return "connections_of_vm"
        if len(self._connections) + self._put_off - places.waiting >= limits.connections:
            return "connections"
        return "descriptors" if connection.fileno() >= places.ceiling else ""

    def _made_room(self, whose: str) -> bool:
        """Close the longest idle connection of one that holds more than ``whose``.

        So many guests that idle together do not shut out one that has something to ask.
        """
        held = self._places.crowd.held
        least = held[whose] + 1
        if max(held.values(), default=0) <= least:
            return False
        for connection, wait in self._waits.items():
            stream = cast("HTTP1ServerConnection", connection).stream
            if wait.idle and held[_whose(stream)] > least and not stream.closed():
                stream.close()
                return True
        return False

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin to wait for a request on a connection (called by Tornado)."""
        request = super().start_request(server_conn, request_conn)
        self._waits.pop(server_conn, None)  # the longest idle stays first
        self._waits[server_conn] = _Wait(IOLoop.current().time(), request)
        return request

    def on_close(self, server_conn: object) -> None:
        """Forget a connection (called by Tornado)."""
        self._waits.pop(server_conn, None)
        stream = cast("HTTP1ServerConnection", server_conn).stream
        whose, places = _whose(stream), self._places
        ended = getattr(getattr(server_conn, "context", None), "ended", "")
        if isinstance(stream.error, TooLong):
            ended = "head-too-long"
        if ended:
            places.malformed[ended] += 1
            if places.turns is not None:
                places.turns.charge(whose, _SPOILT)
        places.crowd.ends(whose)
        super().on_close(server_conn)

    @property
    def held(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def sending(self) -> bool:
        """Whether an answer has not left yet."""
        return any(connection.stream.writing() for connection in self._connections)

    async def close_all_connections(self) -> None:
        """End the connections that are left, and look at them no more."""
        self._looks.stop()
        await super().close_all_connections()

    def _look(self) -> None:
        """Close the connections on which a request is due for too long."""
        latest = IOLoop.current().time() - self._limits.idle_seconds
        hanging: list[IOStream] = []
        for connection, wait in list(self._waits.items()):
            if not isinstance(connection, HTTP1ServerConnection):
                continue
            heard = isinstance(wait.request, Heard) and wait.request.heard
            if wait.since < latest and not heard:
                # Of one that said nothing there is nothing to tell; Tornado alone knows which did.
                if connection.stream._read_buffer_size:  # noqa: SLF001
                    self._places.malformed["slow-head"] += 1
                connection.stream.close()
            elif isinstance(wait.request, Heard) and wait.request.hanging:
                hanging.append(connection.stream)
        for stream in _left(hanging):
            stream.close()


def _left(streams: list[IOStream]) -> list[IOStream]:
    """Give those whose peer has hung up.

    Tornado itself does not see it once a peer has sent more than its request.
    """
    poll = select.poll()
    open_ = (stream for stream in streams if not stream.closed())
    by_descriptor = {stream.socket.fileno(): stream for stream in open_}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLRDHUP)
    return [by_descriptor[descriptor] for descriptor, _ in poll.poll(0)]


class Listener:
    """One endpoint that is being served."""

    def __init__(
        self,
        endpoint: Endpoint,
        delegate: HTTPServerConnectionDelegate,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        places: Places | None = None,
    ) -> None:
        """Listen on ``endpoint``; raise ``StartError``.

        ``delegate`` counts in ``places`` what has its own limits.
        """
        self.endpoint = endpoint
        self._scheme = "https" if tls else "http"
        self._socket = listen(endpoint)
        self.address = bound(self._socket)
        if not self.address.path:
            # A guest that takes nothing of its answer holds it no longer than one that is silent.
            stalled = int(limits.idle_seconds * 1000)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stalled)
            # One that waits sends nothing, and would not be missed without being asked.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, part in _KEEPALIVE.items():
                seconds = max(1, int(limits.idle_seconds * part))
                self._socket.setsockopt(socket.IPPROTO_TCP, option, seconds)
        self._server = _BoundedServer(delegate, limits, places or Places(), tls)
        self._server.add_socket(self._socket)

    def __str__(self) -> str:
        """Give the address that clients use: the port that was bound, not the zero asked for."""
        return str(self.address)

    @property
    def url(self) -> str:
        """Give the base URL of a TCP listener, empty for a unix socket."""
        return "" if self.address.path else f"{self._scheme}://{self}"

    @property
    def held(self) -> int:
        """How many connections there are."""
        return self._server.held

    @property
    def sending(self) -> bool:
        """Whether an answer has not left yet."""
        return self._server.sending

    def stop(self) -> None:
        """Take no new connections."""
        self._server.stop()
        release(self.endpoint)

    async def close(self) -> None:
        """End the connections that are left."""
        await self._server.close_all_connections()
