"""Rules as data: what the paths of one area demand, and how they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from http import HTTPStatus
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal, get_args

import msgspec

from emulator.core.message import Answer, HeaderLines, Live, Reply, Request, Services, build
from emulator.core.refusal import Refusal
from emulator.core.session import TOKEN_HEADER, TTL_HEADER

__all__ = [
    "DEFAULTS",
    "DOCUMENTS",
    "Area",
    "Closed",
    "CompiledArea",
    "Document",
    "ForbidHeader",
    "Hosts",
    "Refusal",
    "RequireHeader",
    "Rule",
    "Session",
]


DEFAULTS: Mapping[Refusal, Reply] = {
    Refusal.UNKNOWN_VM: Reply(404, b"404 Not Found\n"),
    Refusal.PROXY_INCOMPLETE: Reply(400, b"400 Bad Request\n"),
    Refusal.PROXY_FORGED: Reply(403, b"403 Forbidden\n"),
    Refusal.DIALECT_OFF: Reply(404, b"404 Not Found\n"),
    Refusal.FOREIGN_HOST: Reply(403, b"403 Forbidden\n"),
    Refusal.HEADER_MISSING: Reply(400, b"400 Bad Request\n"),
    Refusal.FORWARDED: Reply(403, b"403 Forbidden\n"),
    Refusal.METHOD: Reply(405, b"405 Method Not Allowed\n"),
    Refusal.NOT_FOUND: Reply(404, b"404 Not Found\n"),
    Refusal.UNKNOWN_IDENTITY: Reply(404, b"404 Not Found\n"),
    Refusal.CONFLICT: Reply(409, b"409 Conflict\n"),
    Refusal.BAD_BODY: Reply(400, b"400 Bad Request\n"),
    Refusal.BAD_QUERY: Reply(400, b"400 Bad Request\n"),
    Refusal.THROTTLED: Reply(503, b"503 Service Unavailable\n", headers=(("Retry-After", "1"),)),
    Refusal.UNAVAILABLE: Reply(500, b"500 Internal Server Error\n"),
    Refusal.ENDPOINT_OFF: Reply(403, b"403 Forbidden\n"),
    Refusal.FORBIDDEN: Reply(403, b"403 Forbidden\n"),
    Refusal.SESSION_MISSING: Reply(401, b"401 Unauthorized\n"),
    Refusal.SESSION_INVALID: Reply(401, b"401 Unauthorized\n"),
    Refusal.BAD_LIFETIME: Reply(400, b"400 Bad Request\n"),
}


Document = Literal[
    "listing",
    "meta-data",
    "user-data",
    "vendor-data",
    "network",
    "keys",
    "identity",
    "credentials",
    "token",
    "session",
    "events",
    "attributes",
    "health",
    "none",
]
"""The class of a document: what is seen of a request instead of its path."""

DOCUMENTS: tuple[Document, ...] = get_args(Document)


# A name or IPv4 address, or an IPv6 address in brackets with or without its scope; and a port.
_HOST = re.compile(r"(?:\[([^%\]]*)(?:%[^\]]*)?\]|([^:\[\]]*))(?::[0-9]*)?")
_LONGEST_HOST = 300
_KEPT_HOSTS = 256


class Hosts:
    """The names that a server goes by (contract 9.2-16): who asks for another one was misled.

    A web page can let its own name lead to the metadata address, and its reader's browser then
    shows it what is there (DNS rebinding). It cannot do so with an address, nor with ``names``.
    """

    __slots__ = ("_known", "_names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Go by ``names``, lower case without a final dot, by ``localhost`` and any address."""
        self._names = frozenset(("localhost", *names))
        # As they were sent: what comes again costs a look-up.
        self._known: set[str] = set()

    def foreign(self, sent: str | None) -> bool:
        """Say whether a ``Host`` header, if one was ``sent``, names another server."""
        if not sent or sent in self._known:
            return False
        if not self._names_us(sent):
            return True
        if len(self._known) < _KEPT_HOSTS:
            self._known.add(sent)
        return False

    def _names_us(self, sent: str) -> bool:
        parts = _HOST.fullmatch(sent) if len(sent) <= _LONGEST_HOST else None
        if parts is None:
            return False
        bracketed, name = parts.groups()
        try:
            if bracketed is not None:
                return bool(IPv6Address(bracketed))
            return name.lower().removesuffix(".") in self._names or bool(IPv4Address(name))
        except AddressValueError:
            return False


class RequireHeader(msgspec.Struct, frozen=True):
    """Refuse unless ``name`` was sent with exactly ``value``; the first of several counts.

    With ``any_case`` the case of the value does not matter. ``instead`` names a header that will
    do in its place, with the same rules for its own value.
    """

    name: str
    value: str
    refusal: Refusal = Refusal.HEADER_MISSING
    any_case: bool = False
    instead: tuple[str, str] | None = None

    def check(self, request: Request) -> Refusal | None:
        """Apply the rule."""
        if self._sent(request, self.name, self.value):
            return None
        if self.instead is not None and not request.headers.get_list(self.name):
            return None if self._sent(request, *self.instead) else self.refusal
        return self.refusal

    def _sent(self, request: Request, name: str, value: str) -> bool:
        found = request.headers.get_list(name)[:1]
        if self.any_case:
            return [text.lower() for text in found] == [value.lower()]
        return found == [value]


class ForbidHeader(msgspec.Struct, frozen=True):
    """Refuse if ``name`` was sent at all."""

    name: str
    refusal: Refusal = Refusal.FORWARDED

    def check(self, request: Request) -> Refusal | None:
        """Apply the rule."""
        return self.refusal if request.headers.get_list(self.name) else None


class Closed(msgspec.Struct, frozen=True):
    """Refuse whatever is asked."""

    refusal: Refusal = Refusal.ENDPOINT_OFF

    def check(self, _request: Request) -> Refusal | None:
        """Apply the rule."""
        return self.refusal


Rule = RequireHeader | ForbidHeader | Closed


class Session(StrEnum):
    """What an area makes of session tokens (contract 3.4); a bad one is refused by all.

    An answer to a good one says how long it still lives. ``observe`` answers as ``optional`` does,
    and what ``required`` would have refused is noted (``CompiledArea.spared``).
    """

    OPTIONAL = "optional"
    OBSERVE = "observe"
    REQUIRED = "required"


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that live under one set of rules.

    ``prefixes`` are the paths, whole segments, below which even unknown names belong here (the
    longest prefix wins). A request to another's name is refused first, unless with ``any_host``;
    then rules are applied in their order, then ``session``, then the method, then the machine's
    limit of requests unless the area is ``unlimited`` (contract 9.3).
    ``refusals`` overrides ``DEFAULTS``; ``headers`` are on every outcome. ``writes`` answers what
    is not to be read, POST, PUT and DELETE, wherever below the prefixes it is sent. ``query`` is
    one with which each of its paths can be asked for. ``document`` is the class of what is
    written, and of documents that have none of their own. ``missing`` refuses what is not there
    below a prefix.
    """

    name: str
    prefixes: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    session: Session | None = None
    methods: tuple[str, ...] = ("GET", "HEAD")
    refusals: Mapping[Refusal, Reply] = {}
    headers: HeaderLines = ()
    writes: Live | None = None
    query: str = ""
    any_host: bool = False
    unlimited: bool = False
    document: Document = "meta-data"
    missing: Refusal = Refusal.NOT_FOUND


class CompiledArea:
    """An area ready for requests: its gate, and every refusal as a built answer."""

    __slots__ = (
        "_any_host",
        "_checks",
        "_earlier",
        "area",
        "common",
        "dialect",
        "document",
        "methods",
        "missing",
        "name",
        "prefixes",
        "refusals",
        "session",
        "unlimited",
        "writes",
    )

    def __init__(self, area: Area, dialect: str) -> None:
        """Build the answers of all refusals of ``area``, which belongs to ``dialect``."""
        self.area = area
        self.dialect = dialect
        self.name = area.name
        self.prefixes = area.prefixes
        self.methods = frozenset(area.methods)
        self.common = area.headers
        self.document = area.document
        self.missing = area.missing
        self._checks: tuple[Callable[[Request], Refusal | None], ...] = tuple(
            rule.check for rule in area.rules
        )
        self._any_host = area.any_host
        self.unlimited = area.unlimited
        self._earlier = {Refusal.FOREIGN_HOST, *(rule.refusal for rule in area.rules)}
        self.session = area.session
        self.writes = area.writes
        allow = ("Allow", ", ".join(area.methods))
        self.refusals: dict[Refusal, Answer] = {}
        for refusal in Refusal:
            reply = area.refusals.get(refusal, DEFAULTS[refusal])
            if refusal is Refusal.METHOD and reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
                reply = msgspec.structs.replace(reply, headers=(*reply.headers, allow))
            self.refusals[refusal] = build(reply, area.headers)

    def gate(self, request: Request, services: Services | None = None) -> Refusal | bytes:
        """Say why ``request`` may not be answered here, or give header lines for its answer.

        A stranger has no ``services``, and so no session.
        """
        if request.foreign and not self._any_host:
            return Refusal.FOREIGN_HOST
        for check in self._checks:
            refusal = check(request)
            if refusal is not None:
                return refusal
        lines: Refusal | bytes = b""
        if self.session is not None:
            lines = _in_session(request, services, self.session)
        if isinstance(lines, bytes):
            if request.method not in self.methods:
                return Refusal.METHOD
            if request.excessive and not self.unlimited:
                return Refusal.THROTTLED
        return lines

    def spared(self, request: Request, refusal: str | None) -> str:
        """Give the refusal that ``request``, now decided on, would have had if one was observed.

        What was refused before its session was asked for (``refusal``) was not spared.
        """
        observed = self.session is Session.OBSERVE and refusal not in self._earlier
        if observed and not request.headers.get_list(TOKEN_HEADER):
            return Refusal.SESSION_MISSING.value
        return ""


def _in_session(request: Request, services: Services | None, session: Session) -> Refusal | bytes:
    tokens = request.headers.get_list(TOKEN_HEADER)
    if not tokens:
        return Refusal.SESSION_MISSING if session is Session.REQUIRED else b""
    left = services.sessions.remaining(tokens[0]) if services is not None else None
    return Refusal.SESSION_INVALID if left is None else b"%s: %d\r\n" % (_TTL, left)


_TTL = TTL_HEADER.encode()
