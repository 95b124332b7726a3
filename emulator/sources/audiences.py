"""``token-audiences``: for whom a pod's tokens are, and in which files they are projected.

Admission asks the kubelet for the tokens and the server reads them, so both take the files' names
from here.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from emulator.model.document import Unfit, quoted

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")

DEFAULT_SECONDS = 3600
LEAST_SECONDS, MOST_SECONDS = 600, 1 << 32
"""What the API server accepts (``expirationSeconds`` of a projected ServiceAccount token)."""

_ALLOWED = (
    "audiences separated by commas, each [FILE=]AUDIENCE[;SECONDS] with the name of a file and "
    f"{LEAST_SECONDS} to {MOST_SECONDS} seconds"
)
_DEFAULT_FILE = "token"


class Audience(msgspec.Struct, frozen=True):
    """A token for ``audience`` that lives ``seconds``, in the ``file`` of that name."""

    audience: str
    file: str
    seconds: int = DEFAULT_SECONDS


def parse(text: str) -> tuple[Audience, ...]:
    """Read ``vault, spire-server;7200, sts=https://sts.example``; raise ``Unfit``.

    Without a file's name it is the audience's own where that can be one, or else made from its
    hash.
    """
    found = tuple(_one(part.strip()) for part in text.split(",") if part.strip())
    files: set[str] = set()
    for one in found:
        if one.file in files:
            raise Unfit(f"the file {quoted(one.file)} again", "each file once")
        files.add(one.file)
    return found


def _one(text: str) -> Audience:
    named, semicolon, lifetime = text.partition(";")
    file, equals, audience = (part.strip() for part in named.partition("="))
    if not equals:
        file, audience = _file(file), file
    if not audience or not FILE_NAME.fullmatch(file) or file == _DEFAULT_FILE:
        raise Unfit(quoted(text), _ALLOWED)
    if not semicolon:
        return Audience(audience, file)
    return Audience(audience, file, _seconds(text, lifetime.strip()))


def _file(audience: str) -> str:
    if FILE_NAME.fullmatch(audience) and audience != _DEFAULT_FILE:
        return audience
    return f"audience-{hashlib.sha256(audience.encode()).hexdigest()[:16]}" if audience else ""


def _seconds(text: str, lifetime: str) -> int:
    most = len(str(MOST_SECONDS))
    if lifetime.isascii() and lifetime.isdecimal() and len(lifetime) <= most:
        seconds = int(lifetime)
        if LEAST_SECONDS <= seconds <= MOST_SECONDS:
            return seconds
    raise Unfit(quoted(text), _ALLOWED)
