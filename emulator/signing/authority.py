"""Makes certificates: of a server's own key, of an authority, and of each namespace's key."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import msgspec

from emulator.model.kubernetes import LABEL
from emulator.ports import Ports
from emulator.signing.glance import BITS, FOREIGN, host
from emulator.signing.pair import private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    SigningKey = RSAPrivateKey | EllipticCurvePrivateKey

NAMESPACE = re.compile(LABEL)
"""What Kubernetes takes as a namespace's name."""

_COMMON_NAME = "imds-emulator instance identity"
_AUTHORITY = "imds-emulator namespaces"
_AUTHORITY_BITS = 3072
_YEARS = 30
_HOUR = dt.timedelta(hours=1)


class Made(msgspec.Struct, frozen=True):
    """PEM texts: a certificate, with those above it, and its key (PKCS #8)."""

    certificate: bytes
    key: bytes


class Authority:
    """Certifies the keys of namespaces."""

    def __init__(self, certificates: bytes, key: bytes, now: float) -> None:
        """Read an authority's PEM texts, its own certificate first, as it is at ``now``.

        Raises ``ValueError`` that says why it can certify nothing.
        """
        from cryptography import x509

        self._now = dt.datetime.fromtimestamp(int(now), dt.UTC)
        self._chain = x509.load_pem_x509_certificates(certificates)
        self._key = _signing(key)
        own = self._chain[0]
        if self._key.public_key() != own.public_key():
            raise ValueError(FOREIGN)
        if not _may_certify(own):
            raise ValueError("the certificate is not an authority's")
        begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
        if self._now > ends:
            raise ValueError(f"the certificate ended at {ends:%Y-%m-%d %H:%M} UTC")
        if self._now < begins:
            raise ValueError(f"the certificate is not good before {begins:%Y-%m-%d %H:%M} UTC")

    def certify(self, namespace: str, ports: Ports) -> Made:
        """Make a key whose certificate names ``namespace`` for as long as the authority's is good.

        ``namespace`` matches ``NAMESPACE``.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256

        own = self._chain[0]
        key = _rsa(BITS)
        begins = max(self._now - _HOUR, own.not_valid_before_utc)
        builder = _begun(namespace, key, begins, own.not_valid_after_utc, ports)
        name = x509.SubjectAlternativeName([x509.DNSName(host(namespace))])
        made = (
            builder.issuer_name(own.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(_above(own), critical=False)
            .add_extension(name, critical=False)
            .sign(self._key, SHA256())
        )
        return _made([made, *self._chain], key)


def found(ports: Ports) -> Made:
    """Make an authority that can certify namespaces and nothing else, for thirty years."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _rsa(_AUTHORITY_BITS)
    begins, ends = _life(ports)
    builder = _begun(_AUTHORITY, key, begins, ends, ports)
    # Whoever trusts it trusts it with these names alone.
    only = x509.NameConstraints([x509.DNSName(host("")[1:])], excluded_subtrees=None)
    certificate = (
        builder.issuer_name(_name(_AUTHORITY))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(only, critical=True)
        .sign(key, SHA256())
    )
    return _made([certificate], key)


def generate(ports: Ports) -> bytes:
    """Make a key and its self-signed certificate, which names nobody, as one PEM text."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _rsa(BITS)
    builder = _begun(_COMMON_NAME, key, *_life(ports), ports)
    certificate = (
        builder.issuer_name(_name(_COMMON_NAME))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .sign(key, SHA256())
    )
    made = _made([certificate], key)
    return made.certificate + made.key


def _life(ports: Ports) -> tuple[dt.datetime, dt.datetime]:
    """Give begin and end; clocks differ, and it should be good at once, wherever it is taken."""
    begins = dt.datetime.fromtimestamp(int(ports.wall()), dt.UTC) - _HOUR
    return begins, begins + dt.timedelta(days=365 * _YEARS)


def _begun(
    name: str, key: RSAPrivateKey, begins: dt.datetime, ends: dt.datetime, ports: Ports
) -> x509.CertificateBuilder:
    """Give what all certificates have in common."""
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(ports.random(16)) >> 1 | 1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _may_certify(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is an authority's (RFC 5280, 4.2.1.9 and 4.2.1.3)."""
    from cryptography import x509

    get = certificate.extensions.get_extension_for_class
    try:
        return get(x509.BasicConstraints).value.ca and get(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return False


def _above(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Give what leads from a certificate to its issuer's."""
    from cryptography import x509

    try:
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        known = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _signing(key: bytes) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    read = private(key)
    if not isinstance(read, RSAPrivateKey | EllipticCurvePrivateKey):
        raise ValueError("the key is neither RSA nor ECDSA")  # noqa: TRY004  a mistake in a file
    return read


def _rsa(bits: int) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    return generate_private_key(public_exponent=65537, key_size=bits)


def _made(chain: list[x509.Certificate], key: RSAPrivateKey) -> Made:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    texts = [certificate.public_bytes(Encoding.PEM) for certificate in chain]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Made(b"".join(texts), secret)
