"""How Azure's services refuse: JSON, in a form for metadata and one for identities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus

import msgspec
from msgspec.structs import replace

from emulator.core.message import Reply
from emulator.core.policy import DEFAULTS
from emulator.core.refusal import Refusal
from emulator.dialects.base import IDENTITY_NOT_FOUND

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

_WORDS = {
    Refusal.HEADER_MISSING: "Bad request: . Required metadata header not specified",
    Refusal.FORWARDED: "Bad request. The X-Forwarded-For header is not allowed",
    Refusal.FOREIGN_HOST: "Forbidden. The Host header names another server",
    Refusal.NOT_FOUND: "Not found",
}
# Azure says so of a request that the others forbid; and cloud-init asks again after a 429 there,
# not after a 503 (contract 5.5).
_STATUSES = {Refusal.FORWARDED: 400, Refusal.THROTTLED: 429}


def error(words: str, status: int = 400, refusal: Refusal = Refusal.BAD_QUERY) -> Reply:
    """Refuse in the words of the metadata service."""
    return Reply(status, msgspec.json.encode({"error": words}), JSON, refusal=refusal)


def invalid(code: str, words: str, status: int = 400) -> Reply:
    """Refuse in the words of the identity service (OAuth 2, RFC 6749, 5.2)."""
    body = msgspec.json.encode({"error": code, "error_description": words})
    return Reply(status, body, JSON, refusal=Refusal.BAD_QUERY)


@cache
def bad_version(known: frozenset[str]) -> Reply:
    """Refuse an ``api-version`` that is not ``known``, naming the three newest that are."""
    body = {
        "error": "Bad request. api-version is invalid or was not specified in the request. "
        "For more information refer to aka.ms/azureimds",
        "newest-versions": sorted(known, reverse=True)[:3],
    }
    return Reply(400, msgspec.json.encode(body), JSON, refusal=Refusal.BAD_QUERY)


NO_IDENTITY = invalid("invalid_request", IDENTITY_NOT_FOUND)


def _status(refusal: Refusal) -> int:
    return _STATUSES.get(refusal, DEFAULTS[refusal].status)


def _phrase(refusal: Refusal) -> str:
    return _WORDS.get(refusal, HTTPStatus(_status(refusal)).phrase)


METADATA: Mapping[Refusal, Reply] = {
    refusal: replace(
        error(_phrase(refusal), _status(refusal), refusal), headers=DEFAULTS[refusal].headers
    )
    for refusal in DEFAULTS
}
_CODES = {Refusal.HEADER_MISSING: "bad_request_102", Refusal.THROTTLED: "too_many_requests"}
IDENTITIES: Mapping[Refusal, Reply] = {
    refusal: replace(
        invalid(
            _CODES.get(refusal, "invalid_request"),
            _phrase(refusal).removeprefix("Bad request: . "),
            _status(refusal),
        ),
        headers=DEFAULTS[refusal].headers,
    )
    for refusal in DEFAULTS
}
