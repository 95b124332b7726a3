"""What is seen of a certificate and its key without the library is what the library would say."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from emulator.signing.glance import check, host, names
from emulator.signing.pair import load

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def certificate(key: Key, *dns: str) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=9))
    )
    if dns:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in dns])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def private(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> bytes:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, hidden)


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=3, key_size=2048)
LARGE = rsa.generate_private_key(public_exponent=65537, key_size=4096)
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  refused
CURVE = ec.generate_private_key(ec.SECP256R1())
OLD = PrivateFormat.TraditionalOpenSSL
CERTIFICATE = certificate(KEY)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, OLD])
@pytest.mark.parametrize("key", [KEY, OTHER, LARGE])
def test_a_pair_is_one(key: rsa.RSAPrivateKey, form: PrivateFormat) -> None:
    text = certificate(key)
    check(text, private(key, form))
    # Whatever stands before and beside it, as in one file that holds both.
    both = b"Bag Attributes\n" + private(key, form) + text + CERTIFICATE
    check(both, both)
    assert load(both, both).chain == text + CERTIFICATE


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        (CERTIFICATE, private(OTHER), "not the certificate's"),
        (CERTIFICATE, private(OTHER, OLD), "not the certificate's"),
        (certificate(OTHER) + CERTIFICATE, private(KEY), "not the certificate's"),
        (certificate(SHORT), private(SHORT), "no RSA key of 2048 bits"),
        (certificate(SHORT), private(SHORT, OLD), "no RSA key of 2048 bits"),
        (certificate(CURVE), private(CURVE), "no RSA key of 2048 bits"),
        (certificate(CURVE), private(CURVE, OLD), "no RSA key of 2048 bits"),
        (CERTIFICATE, private(KEY, password=b"p"), "encrypted"),
        (CERTIFICATE, private(KEY, OLD, b"p"), "encrypted"),
        (CERTIFICATE, b"none", "encrypted, or of an unknown kind"),
        (CERTIFICATE, CERTIFICATE, "encrypted, or of an unknown kind"),
        (b"none", private(KEY), "no PEM certificate"),
        (private(KEY), private(KEY), "no PEM certificate"),
    ],
)
def test_what_is_no_pair_is_refused_here_and_there(text: bytes, key: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(text, key)
    with pytest.raises(ValueError):  # noqa: PT011  the library's own words
        load(text, key)


@given(st.binary(max_size=200), st.integers(0, 1600), st.integers(0, 1700))
def test_rubbish_is_a_mistake_and_nothing_else(rubbish: bytes, place: int, end: int) -> None:
    key, text = private(KEY), CERTIFICATE
    for bad in (rubbish, key[:place] + rubbish + key[place:], key[:end]):
        with suppress(ValueError):
            check(text, bad)
    for bad in (rubbish, text[:place] + rubbish + text[place:], text[:end]):
        with suppress(ValueError):
            check(bad, key)


def test_a_certificate_names_what_stands_in_it() -> None:
    text = certificate(KEY, "other.example", host("shop"), "more.example")
    assert names(text, "shop")
    assert not names(text, "sho")
    assert not names(text, "hop")
    assert not names(text, "bank")
    assert not names(text, "x" * 200)
    assert not names(CERTIFICATE, "shop")
    # A wildcard, a name that only ends or begins like it, and what stands above it name nobody.
    for near in ("*.namespace.imds-emulator.internal", f"a.{host('shop')}", f"{host('shop')}.x"):
        assert not names(certificate(KEY, near), "shop")
    assert not names(CERTIFICATE + text, "shop")


def test_the_longest_namespace_is_named() -> None:
    longest = "n" * 63
    assert names(certificate(KEY, host(longest)), longest)


def test_the_library_is_not_imported() -> None:
    code = "import sys, emulator.signing.glance; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
