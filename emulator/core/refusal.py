"""Why a request was not answered with data: log field and metric label alike."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """The reasons; an area has an answer to each."""

    UNKNOWN_VM = "unknown-vm"
    PROXY_INCOMPLETE = "proxy-incomplete"
    PROXY_FORGED = "proxy-forged"
    DIALECT_OFF = "dialect-off"
    FOREIGN_HOST = "foreign-host"
    HEADER_MISSING = "header-missing"
    FORWARDED = "forwarded"
    METHOD = "method"
    NOT_FOUND = "not-found"
    UNKNOWN_IDENTITY = "unknown-identity"
    CONFLICT = "conflict"
    BAD_BODY = "bad-body"
    BAD_QUERY = "bad-query"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    ENDPOINT_OFF = "endpoint-off"
    FORBIDDEN = "forbidden"
    SESSION_MISSING = "session-missing"
    SESSION_INVALID = "session-invalid"
    BAD_LIFETIME = "bad-lifetime"
