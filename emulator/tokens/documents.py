"""What a verifier reads to check issued tokens: key set and discovery document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from emulator.tokens.jwt import encode

JWKS_PATH = "/openid/v1/jwks"
DISCOVERY_PATH = "/.well-known/openid-configuration"
JWKS_TYPE = "application/jwk-set+json"


class PublicKey(msgspec.Struct, frozen=True):
    """An RSA public key."""

    modulus: int
    exponent: int


def thumbprint(key: PublicKey) -> str:
    """Name ``key`` by its content (RFC 7638, 3): the ``kid`` of what it verifies."""
    return encode(hashlib.sha256(msgspec.json.encode(_required(key))).digest())


def jwks(keys: Iterable[PublicKey]) -> bytes:
    """Give the key set (RFC 7517, 5), as Kubernetes has it."""
    return msgspec.json.encode(
        {
            "keys": [
                {"use": "sig", "alg": "RS256", "kid": thumbprint(key), **_required(key)}
                for key in keys
            ]
        }
    )


def discovery(issuer: str) -> bytes:
    """Give the discovery document of ``issuer`` (OpenID Connect Discovery 1.0, 3).

    ``iss`` of every token, ``issuer`` here and the URL that this is served below are one.
    """
    return msgspec.json.encode(
        {
            "issuer": issuer,
            "jwks_uri": issuer.rstrip("/") + JWKS_PATH,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


def _required(key: PublicKey) -> dict[str, str]:
    """Give the members that make an RSA key, in the order that a thumbprint needs."""
    return {"e": _unsigned(key.exponent), "kty": "RSA", "n": _unsigned(key.modulus)}


def _unsigned(number: int) -> str:
    """Encode as Base64urlUInt (RFC 7518, 2)."""
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
