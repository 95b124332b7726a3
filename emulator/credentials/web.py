"""Asking somebody's web service for something, by Tornado's client, loaded when first needed."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from emulator.errors import CredentialsUnavailable

CONNECT_SECONDS = 3.0
WHOLE_SECONDS = 8.0

_MOST = 1 << 20
_REFUSED = frozenset({400, 401, 403})
_WORD = re.compile(r"[A-Za-z_]{1,64}")

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Shape = TypeVar("Shape")


class _Refusal(msgspec.Struct):
    """How OAuth 2 says that something is refused (RFC 6749, 5.2); Google's APIs nest theirs."""

    error: object = ""


async def post(url: str, body: bytes, kind: str, shape: type[Shape], bearer: str = "") -> Shape:
    """Send ``body``, which is of ``kind``; give the JSON of a 200 as ``shape``.

    Raises ``CredentialsUnavailable``, with nothing in it of what was sent or received but an
    error's code.
    """
    from tornado.httpclient import AsyncHTTPClient, HTTPClientError

    headers: Mapping[str, str] = {"Content-Type": kind, "Accept": JSON}
    if bearer:
        headers = {**headers, "Authorization": f"Bearer {bearer}"}
    # At the level debug it logs what it asks.
    general = logging.getLogger("tornado.general")
    general.setLevel(max(general.level, logging.INFO))
    client = AsyncHTTPClient(force_instance=True, max_body_size=_MOST)
    try:
        answer = await client.fetch(
            url,
            method="POST",
            headers=dict(headers),
            body=body,
            follow_redirects=False,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=WHOLE_SECONDS,
            raise_error=False,
        )
    except (OSError, HTTPClientError, ValueError) as error:
        # By its kind alone: the text may hold what was sent.
        raise _silent(url, type(error).__name__) from None
    finally:
        client.close()
    if answer.code != _OK:
        raise _refused(url, answer.code, answer.body or b"")
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except _MALFORMED:
        raise CredentialsUnavailable("the token service gave no token", detail=url) from None


_OK = 200

# How reading JSON fails; a text that is not UTF-8, or nested too deeply, is no DecodeError.
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _silent(url: str, why: str) -> CredentialsUnavailable:
    return CredentialsUnavailable("the token service does not answer", detail=f"{url}: {why}")


def _refused(url: str, status: int, body: bytes) -> CredentialsUnavailable:
    """Say that the service refused, by its code alone: its message may repeat the token."""
    try:
        said = msgspec.json.decode(body, type=_Refusal).error
    except _MALFORMED:
        said = ""
    word = said if isinstance(said, str) and _WORD.fullmatch(said) else f"HTTP status {status}"
    code = "Refused" if status in _REFUSED else "Failed"
    message = f"the token service gives no token: {word}"
    return CredentialsUnavailable(message, code=code, detail=url)
