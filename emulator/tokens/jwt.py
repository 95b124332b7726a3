"""What can be said of a token without its key: whether it is all there, and when it ends."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

# Every JSON object in base64url begins so: {" and the first bits of what follows.
_JSON_PREFIX = "eyJ"
_JWS_PARTS = 3
_JWE_PARTS = 5

# Octets of a signature (RFC 7518, 3; RFC 8037, 3.1). RSA ones are as long as their key.
_RSA = frozenset({256, 384, 512})
_SIGNATURES = {
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": frozenset({64}),
    "ES384": frozenset({96}),
    "ES512": frozenset({132}),
    "EdDSA": frozenset({64, 114}),
}


class Shape(Enum):
    """How much of a token a text is.

    ``WHOLE`` is a JWS with a signature of the right length, ``PIECE`` one with something missing,
    ``OPAQUE`` a text whose inside is not ours to know.
    """

    WHOLE = "whole"
    PIECE = "piece"
    OPAQUE = "opaque"


class _Header(msgspec.Struct):
    alg: str


class _Claims(msgspec.Struct):
    exp: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0


def shape(token: str) -> Shape:
    """Say how much of a token ``token`` is."""
    if not token.startswith(_JSON_PREFIX):
        return Shape.PIECE if _JSON_PREFIX.startswith(token) else Shape.OPAQUE
    parts = token.split(".")
    if len(parts) == _JWE_PARTS and all(parts[2:]):
        return Shape.OPAQUE
    if len(parts) != _JWS_PARTS:
        return Shape.PIECE
    try:
        header = msgspec.json.decode(decode(parts[0]), type=_Header)
        msgspec.json.decode(decode(parts[1]), type=dict[str, object])
        length = len(decode(parts[2]))
    except (msgspec.MsgspecError, ValueError):
        return Shape.PIECE
    return Shape.WHOLE if length in _SIGNATURES.get(header.alg, ()) else Shape.OPAQUE


def expiry(token: str) -> float | None:
    """Give the ``exp`` claim, unverified; None where kubevirt-imds finds none (contract 6.1).

    That is: not three parts, claims that are not base64url of a JSON object, or ``exp`` absent,
    zero, or no integer of 64 bits.
    """
    parts = token.split(".")
    if len(parts) != _JWS_PARTS:
        return None
    try:
        claims = msgspec.json.decode(decode(parts[1]), type=_Claims)
    except (msgspec.MsgspecError, ValueError):
        return None
    return float(claims.exp) if claims.exp else None


def decode(part: str) -> bytes:
    """Decode base64url without padding (RFC 7515, 2); raise ``ValueError``."""
    if "=" in part or "+" in part or "/" in part:
        raise binascii.Error("not base64url")
    return b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def encode(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515, 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
