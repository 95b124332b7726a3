"""The one module that knows ``cryptography``, and imports it only when a key is made or used.

It costs 8 MiB; a server that only reads token files never pays for it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from emulator.errors import StartError
from emulator.tokens.documents import PublicKey, thumbprint

KEY_BITS = 2048  # what RS256 needs at least (RFC 7518, 3.3), and what kubeadm makes


class SigningKey(msgspec.Struct, frozen=True):
    """An RSA key: ``sign`` makes RS256 signatures that ``public``, named ``kid``, verifies."""

    sign: Callable[[bytes], bytes]
    public: PublicKey
    kid: str


def generate() -> bytes:
    """Make a key, as unencrypted PKCS#8 PEM."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load(pem: bytes) -> SigningKey:
    """Read what ``generate`` made, or a key that the operator put there; raise ``StartError``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS:
        raise StartError(
            "the issuer's key in the state folder is not an unencrypted RSA key of "
            f"{KEY_BITS} bits or more; remove it and another is made"
        )
    numbers = key.public_key().public_numbers()
    public = PublicKey(modulus=numbers.n, exponent=numbers.e)
    return SigningKey(
        lambda data: key.sign(data, PKCS1v15(), SHA256()), public, thumbprint(public)
    )
