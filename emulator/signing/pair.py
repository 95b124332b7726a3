"""A certificate and its key, ready to sign.

This and ``authority`` are the modules here that know ``cryptography``. They import it only when
something is signed: it costs 8 MiB, which a server whose guests ask for no signature never pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from emulator.signing.glance import BITS, FOREIGN, NO_RSA_KEY, UNREADABLE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


class Pair(msgspec.Struct, frozen=True):
    """A certificate (PEM), and what its key does.

    ``chain`` are the certificates that were given, its own first. ``sign`` gives an RSA signature
    with SHA-256, ``envelop`` PKCS #7 signed data in DER, with the certificate in it or not.
    """

    certificate: bytes
    chain: bytes
    sign: Callable[[bytes], bytes]
    envelop: Callable[[bytes, bool], bytes]


def load(certificate: bytes, key: bytes) -> Pair:
    """Read PEM texts; raise ``ValueError`` if they are not a certificate and its RSA key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.hazmat.primitives.serialization.pkcs7 import (
        PKCS7Options,
        PKCS7SignatureBuilder,
    )

    chain = x509.load_pem_x509_certificates(certificate)
    secret = private(key)
    if not isinstance(secret, RSAPrivateKey) or secret.key_size < BITS:
        raise ValueError(NO_RSA_KEY)
    if secret.public_key() != chain[0].public_key():
        raise ValueError(FOREIGN)

    def envelop(document: bytes, enclosed: bool) -> bytes:  # noqa: FBT001  a callable of a value
        # Without attributes, which would hold the time, the result is the document's alone.
        signing = PKCS7SignatureBuilder().set_data(document)
        signing = signing.add_signer(chain[0], secret, SHA256())
        options = [PKCS7Options.Binary, PKCS7Options.NoAttributes]
        if not enclosed:
            options.append(PKCS7Options.NoCerts)
        return signing.sign(Encoding.DER, options)

    # Written anew, for in the same file there may be what is nobody's business, such as the key.
    texts = [one.public_bytes(Encoding.PEM) for one in chain]
    return Pair(
        texts[0],
        b"".join(texts),
        lambda document: secret.sign(document, PKCS1v15(), SHA256()),
        envelop,
    )


def private(key: bytes) -> PrivateKeyTypes:
    """Read a private key in PEM; raise ``ValueError``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(key, password=None)
    except (TypeError, UnsupportedAlgorithm):
        raise ValueError(UNREADABLE) from None
