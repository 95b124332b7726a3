"""Between Tornado's HTTP messages and the core: reads a request, writes a prebuilt answer."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from msgspec.structs import replace
from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from emulator.core.message import Answer, Done, Outcome, Request, Wait, build
from emulator.core.paths import authority, split_target
from emulator.core.policy import Refusal
from emulator.core.snapshot import OFF, Decision
from emulator.errors import ConfigError, ImdsError
from emulator.observe.observation import bounded
from emulator.runtime.sockets import limit_hops
from emulator.runtime.tasks import spawn
from emulator.server.fleet import Found
from emulator.server.hanging import Hanging
from emulator.server.hub import Hub
from emulator.server.listeners import Heard, Places, peer_of
from emulator.server.log import TOO_MANY_CHUNKS, TOO_MANY_LINES
from emulator.server.machine import Machine
from emulator.server.recording import observation

if TYPE_CHECKING:
    from emulator.server.turns import Turn

_log = logging.getLogger("imds")

# Answers of so many bytes are counted by their bytes, not only as requests; and no body that is
# taken is longer.
_LARGE = 16 << 10

# A request that is sent in chunks counts as so many more: of one byte each, they cost as much. No
# client that is known sends any.
_CHUNKED = 256


class Front(HTTPServerConnectionDelegate):
    """Makes an exchange for each request that arrives on one listener."""

    def __init__(self, hub: Hub, socket: str, door: str = "") -> None:
        """Answer from ``hub``; ``socket`` is the path of a unix listener, empty for TCP.

        A ``door`` is what all paths begin with that are asked for here.
        """
        self.hub = hub
        self.socket = socket
        self.door = door
        self.places = Places(hub.hits, hub.malformed, hub.crowd)
        self.places.payer = self._payer

    def _payer(self, peer: str) -> str | None:
        # The path of an inherited socket is known only once it listens.
        return self.hub.fleet.payer(self.socket, peer)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Begin an exchange (called by Tornado)."""
        del server_conn
        assert isinstance(request_conn, HTTP1Connection)  # noqa: S101 - the only kind Tornado has
        return Exchange(self, request_conn)


class Exchange(Heard):
    """One request and its answer."""

    __slots__ = (
        "_body",
        "_connection",
        "_front",
        "_headers",
        "_line",
        "_started",
        "_waiting",
        "_whose",
    )

    def __init__(self, front: Front, connection: HTTP1Connection) -> None:
        """Answer on ``connection``."""
        self._front = front
        self._connection = connection
        self._body = b""
        self._waiting: asyncio.Task[None] | Hanging | Turn | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Keep the head (called by Tornado), unless no client sends such."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server reads requests
        hub = self._front.hub
        self._started = hub.ports.monotonic()
        lines = headers._as_list  # noqa: SLF001 - counted by name, not one by one
        if sum(map(len, lines.values())) > hub.limits.header_lines:
            raise HTTPInputError(TOO_MANY_LINES)
        self._line = start_line
        self._headers = headers
        if "Transfer-Encoding" in lines:
            self._pay_for_chunks()
        hub.began()
        self.heard = True

    def _pay_for_chunks(self) -> None:
        """Bound a body of which each byte may have to be read for itself."""
        hub = self._front.hub
        found = self._found()
        if isinstance(found, Refusal) or not found[0].meter.affords(
            hub.pace, self._started, _CHUNKED
        ):
            raise HTTPInputError(TOO_MANY_CHUNKS)
        self._connection.set_max_body_size(min(_LARGE, hub.limits.body_bytes))

    @property
    def _address(self) -> str:
        context: object = self._connection.context
        return self._front.socket or getattr(context, "remote_ip", "")

    def _found(self) -> Found | Refusal:
        front = self._front
        return front.hub.fleet.find(front.socket, self._address, self._headers)

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, which Tornado bounds."""
        self._body += chunk

    def on_connection_close(self) -> None:
        """Forget a guest that hung up while its answer was still being computed."""
        if not self.heard:
            return
        self._front.hub.ended()
        if self._waiting is not None:
            self._waiting.cancel()
        self._read_no_more()

    def _read_no_more(self) -> None:
        """Leave what a guest sent before it hung up: nobody takes the answers, and each costs."""
        _ = self._connection.detach()

    def finish(self) -> None:
        """Decide and answer: the request is complete."""
        if self._connection.stream.closed():
            self._front.hub.ended()
            self._read_no_more()
            return
        found = self._found()
        turns = self._front.hub.turns
        if turns is not None:
            payer = "" if isinstance(found, Refusal) else found[0].instance.uuid
            if not turns.now(payer):
                self.hanging = True
                self._waiting = turns.later(payer, self._in_turn)
                # As in _take: nobody else is told of a hang-up.
                self._connection.set_close_callback(self.on_connection_close)
                return
        self._answer(found)

    def _in_turn(self) -> None:
        """Answer as if it had just been asked: that it had to wait is no fault of the server."""
        self.hanging = False
        self._started = self._front.hub.ports.monotonic()
        # Whoever it is now: its description, or its key, may be another since.
        self._answer(self._found())

    def _answer(self, found: Found | Refusal) -> None:
        address = self._address
        path, query = split_target(self._line.path)
        path = self._front.door + path
        if isinstance(found, Refusal):
            request = Request(self._line.method, path, query, self._headers, b"", address)
            decision = self._to_stranger(request, found)
            assert isinstance(decision.answer, Answer)  # noqa: S101 - anyone's are all prebuilt
            self._send(request, None, decision, decision.answer)
            return
        machine, headers = found
        method, body, foreign = self._line.method, self._body, self._foreign(headers)
        excessive = self._front.hub.excessive(machine)
        request = Request(method, path, query, headers, body, address, foreign, excessive)
        self._body = b""
        try:
            decision = machine.asked().decide(request, machine)
        except ConfigError:
            self._failed(request, machine)
            return
        _ = self._decided(request, machine, decision)

    def _foreign(self, headers: HTTPHeaders) -> bool:
        """Say whether it was sent to another's name, in either place that can have one."""
        hosts, target = self._front.hub.hosts, self._line.path
        if hosts.foreign(headers.get("Host")):
            return True
        return not target.startswith("/") and hosts.foreign(authority(target))

    def _decided(self, request: Request, machine: Machine, decision: Decision) -> bool:
        """Answer as was decided, and say so; False for a request that waits on."""
        if isinstance(decision.answer, Answer):
            self._send(request, machine, decision, decision.answer)
            return True
        try:
            reply = decision.answer(request, machine)
        except Exception:  # noqa: BLE001 - whatever fails, the guest gets its dialect's error
            self._failed(request, machine, decision)
            return True
        if isinstance(reply, Wait) and isinstance(self._waiting, Hanging):
            return False
        self._take(request, machine, decision, reply)
        return True

    def _to_stranger(self, request: Request, refusal: Refusal) -> Decision:
        """Answer what anyone may ask, and refuse the rest."""
        anyone = self._front.hub.anyone
        decision = anyone.decide(request) if anyone else None
        if decision is not None and decision.refusal is None:
            return decision
        return Decision(OFF, OFF.refusals[refusal], refusal)

    def _take(
        self,
        request: Request,
        machine: Machine,
        decision: Decision,
        reply: Outcome | Awaitable[Done],
    ) -> None:
        if not isinstance(reply, Awaitable | Wait):
            self._reply(request, machine, decision, reply)
            return
        if isinstance(reply, Wait):
            self._hang(request, machine, reply)
            return
        work = self._wait(request, machine, decision, reply)
        self._waiting = spawn(work, f"answer to {bounded(request.path)}")
        # From here on Tornado tells of a hang-up only to who asks for it.
        self._connection.set_close_callback(self.on_connection_close)

    def _hang(self, request: Request, machine: Machine, wait: Wait) -> None:
        hub = self._front.hub
        if self._connection.stream.closed():
            # Whoever asked has hung up, and nobody would tell of it any more.
            hub.ended()
        elif hub.crowded(machine):
            _ = self.again(replace(request, query=wait.late), machine)
        else:
            self.hanging = True
            hub.waiting += 1
            self._whose = self._front.places.whose(peer_of(self._connection.context))
            self._front.places.take(self._whose)
            self._connection.set_close_callback(self.on_connection_close)
            self._waiting = Hanging(self, request, machine, wait)

    def waited(self) -> None:
        """Give the place back that it had while it was waiting."""
        self.hanging = False
        self._front.hub.waiting -= 1
        self._front.places.give(self._whose)

    def again(self, request: Request, machine: Machine | None) -> bool:
        """Answer one that waited, unless it has to wait on; ``machine`` is None if it is gone."""
        if machine is None:
            answer = OFF.refusals[Refusal.UNKNOWN_VM]
            self._send(request, None, Decision(OFF, answer, Refusal.UNKNOWN_VM), answer)
            return True
        try:
            decision = machine.snapshot.decide(request, machine)
        except ConfigError:
            self._failed(request, machine)
            return True
        return self._decided(request, machine, decision)

    async def _wait(
        self,
        request: Request,
        machine: Machine,
        decision: Decision,
        pending: Awaitable[Done],
    ) -> None:
        try:
            reply = await pending
        except Exception:  # noqa: BLE001 - as in _live
            self._failed(request, machine, decision)
        else:
            self._reply(request, machine, decision, reply)

    def _failed(self, request: Request, machine: Machine, at: Decision | None = None) -> None:
        error = sys.exception()
        where = (machine.instance.name, bounded(request.method), bounded(request.path))
        # What is expected to fail at times says why in one line; a guest may ask again and again.
        unexpected = not isinstance(error, ImdsError | OSError)
        _log.error("%s: %s %s: %s", *where, error, exc_info=unexpected)
        area = at.area if at is not None else machine.refusing(request.path)
        answer, why = area.refusals[Refusal.UNAVAILABLE], Refusal.UNAVAILABLE
        told = replace(at or Decision(area, answer), answer=answer, refusal=why, lines=b"")
        self._send(request, machine, told, answer)

    def _reply(self, request: Request, machine: Machine, decision: Decision, reply: Done) -> None:
        area = decision.area
        if isinstance(reply, Refusal):
            answer = area.refusals[reply]
            told = replace(decision, answer=answer, refusal=reply, lines=b"")
            self._send(request, machine, told, answer)
            return
        if isinstance(reply, Answer):
            self._send(request, machine, decision, reply)
            return
        answer = build(reply, area.common)
        told = replace(decision, answer=answer, refusal=reply.refusal)
        self._send(request, machine, told, answer, reply.hop_limit)

    def _send(
        self,
        request: Request,
        machine: Machine | None,
        decision: Decision,
        answer: Answer,
        hop_limit: int = 0,
    ) -> None:
        connection = self._connection
        hub = self._front.hub
        body = b"" if request.method == "HEAD" else answer.body
        fate = b"Connection: close\r\n" if hop_limit else self._fate()
        rest = (len(answer.body), decision.lines, hub.date(), fate)
        head = b"%sContent-Length: %d\r\n%s%s%s\r\n" % (answer.head, *rest)
        if hop_limit:
            self._last(head + body, hop_limit)
        else:
            if len(body) < _LARGE:
                _ = connection.write(head + body)
            else:
                # Not joined: a body is kept once, however many connections are slow to take it.
                _ = connection.write(head)
                _ = connection.write(body)
                if machine is not None and not connection.stream.closed():
                    hub.answered(machine, len(body))
            connection.finish()
        hub.ended()
        if hub.observers:
            seen = observation(
                request,
                machine,
                decision,
                answer,
                now=hub.ports.wall(),
                seconds=hub.ports.monotonic() - self._started,
                # Only session tokens have a hop limit.
                issued=bool(hop_limit),
                waited=isinstance(self._waiting, Hanging),
            )
            for observer in hub.observers:
                observer(seen)

    def _last(self, data: bytes, hop_limit: int) -> None:
        """Send what may travel ``hop_limit`` hops, and nothing after it.

        The limit stays for good: the kernel sends a lost packet anew under the limit of that
        moment, and a guest's neighbour that waits for it would have the token.
        """
        connection = self._connection
        if connection.stream.closed():
            # Whoever asked has hung up: there is nothing to limit, and nobody to tell.
            return
        limit_hops(connection.stream.socket, hop_limit)
        sent = connection.write(data)
        sent.add_done_callback(lambda _: connection.close())

    def _fate(self) -> bytes:
        """Say in a header what Tornado does with the connection after this answer."""
        wish = (self._headers.get("Connection") or "").lower()
        if self._line.version == "HTTP/1.1":
            return b"Connection: close\r\n" if wish == "close" else b""
        return b"Connection: keep-alive\r\n" if wish == "keep-alive" else b""
