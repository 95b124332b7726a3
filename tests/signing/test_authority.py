"""Certificates of namespaces, as OpenSSL and another library see them."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from emulator.ports import SYSTEM
from emulator.signing.authority import NAMESPACE, Authority, Made, found
from emulator.signing.glance import host, names
from emulator.signing.pair import load

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
NOW = dt.datetime.fromtimestamp(int(SYSTEM.wall()), dt.UTC)
DAY = dt.timedelta(days=1)
ANY_PATH = x509.BasicConstraints(ca=True, path_length=None)
TLS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@pytest.fixture(scope="module")
def ours() -> Made:
    return found(SYSTEM)


def pem(key: Key | ed25519.Ed25519PrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def usage(*, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


CERTIFIES = usage(certifies=True)


def theirs(
    key: Key,
    *,
    begins: dt.datetime = NOW - DAY,
    ends: dt.datetime = NOW + 10 * DAY,
    basic: x509.BasicConstraints | None = ANY_PATH,
    used: x509.KeyUsage | None = CERTIFIES,
    extended: bool = False,
    issuer: tuple[str, Key] | None = None,
    name: str = "theirs",
) -> bytes:
    """Make an authority as others do: Helm's genCA and cert-manager."""
    by, signer = issuer or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(above, critical=False)
    for extension in (used, basic):
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
    if extended:
        builder = builder.add_extension(TLS, critical=False)
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)


def openssl(folder: Path, made: Made, root: bytes, namespace: str, *strictly: str) -> int:
    (folder / "ca.crt").write_bytes(root)
    (folder / "identity.crt").write_bytes(made.certificate)
    command = ["openssl", "verify", "-no-CApath", "-no-CAstore", *strictly]
    command += ["-CAfile", "ca.crt", "-untrusted", "identity.crt"]
    command += ["-verify_hostname", host(namespace), "identity.crt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.returncode


def third_party(made: Made, root: bytes, namespace: str) -> None:
    leaf, *above = x509.load_pem_x509_certificates(made.certificate)
    store = Store([x509.load_pem_x509_certificate(root)])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(host(namespace)))
    verifier.verify(leaf, above)


CURVE = ec.generate_private_key(ec.SECP256R1())


def test_a_namespaces_certificate_is_its_own(tmp_path: Path, ours: Made) -> None:
    made = Authority(ours.certificate, ours.key, SYSTEM.wall()).certify("shop", SYSTEM)
    assert openssl(tmp_path, made, ours.certificate, "shop", "-x509_strict") == 0
    third_party(made, ours.certificate, "shop")
    for other in ("bank", "sho", "shop-2"):
        assert openssl(tmp_path, made, ours.certificate, other) != 0
        with pytest.raises(VerificationError):
            third_party(made, ours.certificate, other)
    assert openssl(tmp_path, made, found(SYSTEM).certificate, "shop") != 0
    assert names(made.certificate, "shop")
    assert load(made.certificate, made.key).chain == made.certificate


def test_it_signs_and_does_nothing_else(ours: Made) -> None:
    made = Authority(ours.certificate, ours.key, SYSTEM.wall()).certify("shop", SYSTEM)
    leaf, authority = x509.load_pem_x509_certificates(made.certificate)
    used = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert used.digital_signature
    assert not used.key_cert_sign
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    public = leaf.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 2048
    # As long as the authority, and no longer: nobody has to think of it before.
    assert leaf.not_valid_after_utc == authority.not_valid_after_utc
    assert authority.not_valid_after_utc > NOW + 3650 * DAY
    assert authority.public_bytes(Encoding.PEM) == ours.certificate


def test_our_authority_can_certify_namespaces_only(tmp_path: Path, ours: Made) -> None:
    authority = x509.load_pem_x509_certificate(ours.certificate)
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert (basic.value.ca, basic.value.path_length) == (True, 0)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "ca.crt").write_bytes(ours.certificate)
    for name, accepted in ((host("shop"), True), ("bank.example", False)):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(9)
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(_key(ours), SHA256())
        )
        (tmp_path / "crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        command = ["openssl", "verify", "-CAfile", "ca.crt", "crt"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is accepted, name


def _key(made: Made) -> rsa.RSAPrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(made.key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def test_what_others_make_will_do(tmp_path: Path) -> None:
    old = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curves = [ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1())]
    # Helm: PKCS #1, usages of TLS. cert-manager: PKCS #1 or SEC 1, or on demand PKCS #8.
    for text, key in (
        (theirs(old, extended=True), pem(old, PrivateFormat.TraditionalOpenSSL)),
        (theirs(old), pem(old)),
        *((theirs(each), pem(each, PrivateFormat.TraditionalOpenSSL)) for each in curves),
    ):
        made = Authority(text, key, SYSTEM.wall()).certify("shop", SYSTEM)
        third_party(made, text, "shop")
        assert openssl(tmp_path, made, text, "shop") == 0


def test_one_below_another_brings_it_along(tmp_path: Path) -> None:
    root, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    above = theirs(root, name="root")
    text = theirs(key, issuer=("root", root), name="between")
    made = Authority(text + above, pem(key), SYSTEM.wall()).certify("shop", SYSTEM)
    assert made.certificate.endswith(text + above)
    assert openssl(tmp_path, made, above, "shop") == 0
    third_party(made, above, "shop")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (theirs(CURVE, ends=NOW - dt.timedelta(seconds=1)), "ended at 20"),
        (theirs(CURVE, begins=NOW + DAY), "not good before 20"),
        (theirs(CURVE, basic=x509.BasicConstraints(ca=False, path_length=None)), "authority's"),
        (theirs(CURVE, basic=None), "not an authority's"),
        (theirs(CURVE, used=usage(certifies=False)), "not an authority's"),
        (theirs(CURVE, used=None), "not an authority's"),
        (b"none", "PEM"),
    ],
)
def test_what_cannot_certify_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Authority(text, pem(CURVE), SYSTEM.wall())


def test_a_key_that_is_another_or_of_another_kind_is_refused(ours: Made) -> None:
    with pytest.raises(ValueError, match="not the certificate's"):
        Authority(ours.certificate, found(SYSTEM).key, SYSTEM.wall())
    with pytest.raises(ValueError, match="neither RSA nor ECDSA"):
        Authority(ours.certificate, pem(ed25519.Ed25519PrivateKey.generate()), SYSTEM.wall())


def test_an_authority_that_has_just_begun_is_not_older_than_itself() -> None:
    text = theirs(CURVE, begins=NOW - dt.timedelta(minutes=1))
    made = Authority(text, pem(CURVE), NOW.timestamp()).certify("shop", SYSTEM)
    leaf, authority = x509.load_pem_x509_certificates(made.certificate)
    assert leaf.not_valid_before_utc == authority.not_valid_before_utc


def test_the_longest_name_fits(ours: Made) -> None:
    longest = "a" + "-" * 61 + "b"
    assert NAMESPACE.fullmatch(longest)
    made = Authority(ours.certificate, ours.key, SYSTEM.wall()).certify(longest, SYSTEM)
    third_party(made, ours.certificate, longest)
    for bad in ("", "-a", "a-", "A", "a.b", "a_b", "*", "a" * 64, "ä"):
        assert not NAMESPACE.fullmatch(bad), bad
