"""The one module here that knows ``cryptography``, and imports it only when something is signed.

It costs 8 MiB, which a server whose guests ask for no signature never pays.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from emulator.ports import Ports

if TYPE_CHECKING:
    from cryptography import x509

_BITS = 2048
_COMMON_NAME = "imds-emulator instance identity"
_YEARS = 30
_HOUR = 3600


class Pair(msgspec.Struct, frozen=True):
    """A certificate (PEM), and what its key does.

    ``sign`` gives an RSA signature with SHA-256, ``envelop`` PKCS #7 signed data in DER, with the
    certificate in it or not.
    """

    certificate: bytes
    sign: Callable[[bytes], bytes]
    envelop: Callable[[bytes, bool], bytes]


def generate(ports: Ports) -> bytes:
    """Make a key and its self-signed certificate, as one PEM text."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = generate_private_key(public_exponent=65537, key_size=_BITS)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _COMMON_NAME)])
    # Clocks differ: it should be good at once, wherever it is taken.
    begins = dt.datetime.fromtimestamp(int(ports.wall()) - _HOUR, dt.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(ports.random(16)) >> 1 | 1)
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + secret


def load(certificate: bytes, key: bytes) -> Pair:
    """Read PEM texts; raise ``ValueError`` if they are not a certificate and its RSA key."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.hazmat.primitives.serialization.pkcs7 import (
        PKCS7Options,
        PKCS7SignatureBuilder,
    )

    read = x509.load_pem_x509_certificate(certificate)
    try:
        secret = load_pem_private_key(key, password=None)
    except (TypeError, UnsupportedAlgorithm):
        raise ValueError("the key is encrypted, or of an unknown kind") from None
    if not isinstance(secret, RSAPrivateKey) or secret.key_size < _BITS:
        raise ValueError(f"the key is no RSA key of {_BITS} bits or more")
    if secret.public_key() != read.public_key():
        raise ValueError("the key is not the certificate's")

    def envelop(document: bytes, enclosed: bool) -> bytes:  # noqa: FBT001  a callable of a value
        # Without attributes, which would hold the time, the result is the document's alone.
        signing = PKCS7SignatureBuilder().set_data(document).add_signer(read, secret, SHA256())
        options = [PKCS7Options.Binary, PKCS7Options.NoAttributes]
        if not enclosed:
            options.append(PKCS7Options.NoCerts)
        return signing.sign(Encoding.DER, options)

    return Pair(
        read.public_bytes(Encoding.PEM),
        lambda document: secret.sign(document, PKCS1v15(), SHA256()),
        envelop,
    )


def _usage() -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
