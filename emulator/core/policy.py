"""Rules as data: what the paths of one area demand, and how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from http import HTTPStatus

import msgspec

from emulator.core.message import Answer, HeaderLines, Reply, Request, build


class Refusal(StrEnum):
    """Why a request was not answered with data: log field and metric label alike."""

    UNKNOWN_VM = "unknown-vm"
    PROXY_INCOMPLETE = "proxy-incomplete"
    PROXY_FORGED = "proxy-forged"
    DIALECT_OFF = "dialect-off"
    HEADER_MISSING = "header-missing"
    FORWARDED = "forwarded"
    METHOD = "method"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    BAD_BODY = "bad-body"
    UNAVAILABLE = "unavailable"


DEFAULTS: Mapping[Refusal, Reply] = {
    Refusal.UNKNOWN_VM: Reply(404, b"404 Not Found\n"),
    Refusal.PROXY_INCOMPLETE: Reply(400, b"400 Bad Request\n"),
    Refusal.PROXY_FORGED: Reply(403, b"403 Forbidden\n"),
    Refusal.DIALECT_OFF: Reply(404, b"404 Not Found\n"),
    Refusal.HEADER_MISSING: Reply(400, b"400 Bad Request\n"),
    Refusal.FORWARDED: Reply(403, b"403 Forbidden\n"),
    Refusal.METHOD: Reply(405, b"405 Method Not Allowed\n"),
    Refusal.NOT_FOUND: Reply(404, b"404 Not Found\n"),
    Refusal.CONFLICT: Reply(409, b"409 Conflict\n"),
    Refusal.BAD_BODY: Reply(400, b"400 Bad Request\n"),
    Refusal.UNAVAILABLE: Reply(500, b"500 Internal Server Error\n"),
}


def refuse(refusal: Refusal) -> Reply:
    """Give the usual reply to ``refusal``, labelled, for a computed path."""
    return msgspec.structs.replace(DEFAULTS[refusal], refusal=refusal)


class RequireHeader(msgspec.Struct, frozen=True):
    """Refuse unless ``name`` was sent with exactly ``value``; the first of several counts."""

    name: str
    value: str
    refusal: Refusal = Refusal.HEADER_MISSING

    def check(self, request: Request) -> Refusal | None:
        """Apply the rule."""
        return None if request.headers.get_list(self.name)[:1] == [self.value] else self.refusal


class ForbidHeader(msgspec.Struct, frozen=True):
    """Refuse if ``name`` was sent at all."""

    name: str
    refusal: Refusal = Refusal.FORWARDED

    def check(self, request: Request) -> Refusal | None:
        """Apply the rule."""
        return self.refusal if request.headers.get_list(self.name) else None


Rule = RequireHeader | ForbidHeader


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that live under one set of rules.

    ``prefixes`` are the paths, whole segments, below which even unknown names belong here (the
    longest prefix wins). Rules are applied in their order, then the method (contract 9.3).
    ``refusals`` overrides ``DEFAULTS``; ``headers`` are on every outcome.
    """

    name: str
    prefixes: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    methods: tuple[str, ...] = ("GET", "HEAD")
    refusals: Mapping[Refusal, Reply] = {}
    headers: HeaderLines = ()


class CompiledArea:
    """An area ready for requests: its gate, and every refusal as a built answer."""

    __slots__ = ("_checks", "common", "dialect", "methods", "name", "prefixes", "refusals")

    def __init__(self, area: Area, dialect: str) -> None:
        """Build the answers of all refusals of ``area``, which belongs to ``dialect``."""
        self.dialect = dialect
        self.name = area.name
        self.prefixes = area.prefixes
        self.methods = frozenset(area.methods)
        self.common = area.headers
        self._checks: tuple[Callable[[Request], Refusal | None], ...] = tuple(
            rule.check for rule in area.rules
        )
        allow = ("Allow", ", ".join(area.methods))
        self.refusals: dict[Refusal, Answer] = {}
        for refusal in Refusal:
            reply = area.refusals.get(refusal, DEFAULTS[refusal])
            if refusal is Refusal.METHOD and reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
                reply = msgspec.structs.replace(reply, headers=(*reply.headers, allow))
            self.refusals[refusal] = build(reply, area.headers)

    def gate(self, request: Request) -> Refusal | None:
        """Say why ``request`` may not be answered here, or None."""
        for check in self._checks:
            refusal = check(request)
            if refusal is not None:
                return refusal
        return None if request.method in self.methods else Refusal.METHOD
