"""Looks at a certificate and its key without the signing library: what can be seen to be wrong.

So a server finds a mistake when it starts, and still carries the library only once a guest asks
for a signature. Nothing is trusted for what is seen here: that is the verifier's work.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import NamedTuple

BITS = 2048
"""The shortest RSA key that signs."""

NO_CERTIFICATE = "no PEM certificate"
NO_RSA_KEY = f"the key is no RSA key of {BITS} bits or more"
UNREADABLE = "the key is encrypted, or of an unknown kind"
FOREIGN = "the key is not the certificate's"

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.DOTALL)
_INTEGER = 0x02
_DNS_NAME = b"\x82"  # [2] in a GeneralName (RFC 5280, 4.2.1.6)
_LONGEST = 0x7F  # of a length in one byte


class _Element(NamedTuple):
    tag: int
    content: bytes
    whole: bytes


def host(namespace: str) -> str:
    """Give the DNS name by which a certificate names a namespace; nothing resolves it."""
    return f"{namespace}.namespace.imds-emulator.internal"


def names(certificate: bytes, namespace: str) -> bool:
    """Say whether the first certificate of a PEM text names ``namespace``, by no wildcard.

    It is one that ``check`` has seen.
    """
    name = host(namespace).encode()
    if len(name) > _LONGEST:
        return False  # no namespace of Kubernetes
    return _DNS_NAME + bytes([len(name)]) + name in _der(
        certificate, b"CERTIFICATE", NO_CERTIFICATE
    )


def check(certificate: bytes, key: bytes) -> None:
    """Raise ``ValueError`` if the PEM texts can be seen to be no certificate and its RSA key."""
    signed = _der(certificate, b"CERTIFICATE", NO_CERTIFICATE)
    modulus, exponent = _public(key)
    if int.from_bytes(modulus.content).bit_length() < BITS:
        raise ValueError(NO_RSA_KEY)
    # Both texts hold the public key in the same form (RFC 8017, A.1).
    if modulus.whole + exponent.whole not in signed:
        raise ValueError(FOREIGN)


def _public(key: bytes) -> tuple[_Element, _Element]:
    """Give modulus and exponent of an RSA key in PKCS #1 (RFC 8017, A.1.2) or PKCS #8."""
    try:
        parts = _inside(_der(key, b"PRIVATE KEY", UNREADABLE))
        if b"-----BEGIN PRIVATE KEY-----" in key:
            # Version, algorithm, and the key itself (RFC 5208, 5).
            parts = _inside(parts[2].content)
        _, modulus, exponent = parts[:3]
    except (IndexError, ValueError):
        raise ValueError(UNREADABLE) from None
    if modulus.tag != _INTEGER:
        raise ValueError(NO_RSA_KEY)
    return modulus, exponent


def _der(pem: bytes, kind: bytes, otherwise: str) -> bytes:
    """Give the first block whose label ends with ``kind``; raise ``ValueError``."""
    for label, text in _BLOCK.findall(pem):
        if label.endswith(kind):
            return b64decode(b"".join(text.split()), validate=True)
    raise ValueError(otherwise)


def _inside(der: bytes) -> list[_Element]:
    """Give what the only element of ``der`` holds."""
    [outer] = _elements(der)
    return list(_elements(outer.content))


def _elements(der: bytes) -> Iterator[_Element]:
    """Give one element after the other (X.690, 8.1); raise ``IndexError`` or ``ValueError``."""
    place = 0
    while place < len(der):
        length, start = der[place + 1], place + 2
        if length > _LONGEST:
            size = length & _LONGEST
            length = int.from_bytes(der[start : start + size])
            start += size
        end = start + length
        if end > len(der):
            raise ValueError("cut short")
        yield _Element(der[place], der[start:end], der[place:end])
        place = end
