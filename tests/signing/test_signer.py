"""Signatures that others verify: OpenSSL and the certificate alone, without our code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from base64 import b64decode, encodebytes
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from emulator.errors import ConfigError, StartError
from emulator.ports import SYSTEM
from emulator.runtime.state import State
from emulator.signing import Signer
from emulator.signing.authority import Authority, Made, found, generate
from tests.support.ports import FakePorts

DOCUMENT = b'{\n  "instanceId" : "i-0123456789abcdef0"\n}'
FORMS = ("pkcs7", "rsa2048")


@pytest.fixture(scope="module")
def pem() -> bytes:
    return generate(SYSTEM)


@pytest.fixture
def folder(tmp_path: Path, pem: bytes) -> Path:
    (tmp_path / "identity.pem").write_bytes(pem)
    return tmp_path


@pytest.fixture
def signer(folder: Path) -> Signer:
    return Signer(SYSTEM, State(str(folder)))


def openssl(folder: Path, command: str, sealed: bytes, *more: str) -> tuple[int, bytes]:
    """Verify as the documentation says: armour is added, the certificate is brought along."""
    armoured = b"-----BEGIN PKCS7-----\n" + sealed + b"\n-----END PKCS7-----\n"
    (folder / "sealed").write_bytes(armoured)
    arguments = ["openssl", command, "-verify", "-inform", "PEM", "-in", "sealed", *more]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("form", [*FORMS, "attested"])
@pytest.mark.parametrize("command", ["smime", "cms"])
@pytest.mark.parametrize(
    "trust",
    [("-certfile", "crt", "-noverify"), ("-certfile", "crt", "-CAfile", "crt", "-purpose", "any")],
)
def test_openssl_verifies_both_forms_and_gives_the_document(
    folder: Path, signer: Signer, form: str, command: str, trust: tuple[str, ...]
) -> None:
    (folder / "crt").write_bytes(signer.certificate())
    sealed = signer.seal(form, DOCUMENT)
    assert openssl(folder, command, sealed, *trust) == (0, DOCUMENT)
    (folder / "document").write_bytes(DOCUMENT)
    # Without -binary `cms` alone gives a document that lies apart the line ends of mail.
    assert openssl(folder, command, sealed, *trust, "-binary", "-content", "document")[0] == 0


def changed(sealed: bytes, place: int) -> bytes:
    """Flip a bit of the DER."""
    from base64 import b64encode

    der = bytearray(b64decode(sealed))
    der[place] ^= 1
    return b64encode(der)


def test_one_flipped_bit_fails(folder: Path, signer: Signer) -> None:
    (folder / "crt").write_bytes(signer.certificate())
    sealed = signer.seal("pkcs7", DOCUMENT)
    der = b64decode(sealed)
    for place in (der.index(DOCUMENT) + 20, len(der) - 1, len(der) - 200):
        bad = changed(sealed, place)
        assert openssl(folder, "cms", bad, "-certfile", "crt", "-noverify")[0] != 0


@pytest.mark.parametrize("command", ["smime", "cms"])
def test_what_is_attested_verifies_with_what_it_brings(
    folder: Path, signer: Signer, command: str
) -> None:
    sealed = signer.seal("attested", DOCUMENT)
    assert openssl(folder, command, sealed, "-noverify", "-signer", "from") == (0, DOCUMENT)
    assert (folder / "from").read_bytes() == signer.certificate()
    # EC2's forms bring nothing.
    bare = signer.seal("pkcs7", DOCUMENT)
    assert openssl(folder, command, bare, "-noverify")[0] != 0


@pytest.mark.parametrize("command", ["smime", "cms"])
def test_what_is_attested_is_trusted_by_who_trusts_the_certificate(
    folder: Path, signer: Signer, command: str
) -> None:
    sealed = signer.seal("attested", DOCUMENT)
    (folder / "crt").write_bytes(signer.certificate())
    (folder / "other").write_bytes(certificate_of(generate(SYSTEM)))
    trust = ("-purpose", "any", "-CAfile")
    assert openssl(folder, command, sealed, *trust, "crt") == (0, DOCUMENT)
    assert openssl(folder, command, sealed, *trust, "other")[0] != 0
    assert openssl(folder, command, sealed)[0] != 0


def certificate_of(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM)


def test_one_flipped_bit_of_what_is_attested_fails(folder: Path, signer: Signer) -> None:
    sealed = signer.seal("attested", DOCUMENT)
    der = b64decode(sealed)
    certificate = x509.load_pem_x509_certificate(signer.certificate())
    places = {
        "document": der.index(DOCUMENT) + 20,
        "signature": len(der) - 1,
        "key": der.index(certificate.public_bytes(Encoding.DER)) + 300,
    }
    assert openssl(folder, "cms", sealed, "-noverify")[0] == 0
    for place in places.values():
        assert openssl(folder, "cms", changed(sealed, place), "-noverify")[0] != 0
    # A bit of the certificate's own signature is found out by who trusts the true one.
    (folder / "crt").write_bytes(signer.certificate())
    own = der.index(certificate.signature) + 7
    bad = changed(sealed, own)
    assert openssl(folder, "cms", bad, "-purpose", "any", "-CAfile", "crt")[0] != 0


def test_a_strict_reader_finds_der(signer: Signer) -> None:
    """OpenSSL writes what it reads in DER again: the same bytes."""
    der = b64decode(signer.seal("rsa2048", DOCUMENT))
    arguments = ["openssl", "pkcs7", "-inform", "DER", "-outform", "DER"]
    assert subprocess.run(arguments, input=der, capture_output=True, check=True).stdout == der


def test_the_signature_verifies_with_the_certificate_alone(signer: Signer) -> None:
    certificate = x509.load_pem_x509_certificate(signer.certificate())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = b64decode(signer.seal("signature", DOCUMENT))
    key.verify(signature, DOCUMENT, PKCS1v15(), SHA256())
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for bad, document in ((flipped, DOCUMENT), (signature, DOCUMENT + b" ")):
        with pytest.raises(InvalidSignature):
            key.verify(bad, document, PKCS1v15(), SHA256())


@pytest.mark.parametrize("form", ["signature", *FORMS, "attested"])
def test_the_same_document_has_the_same_signature_another_has_another(
    signer: Signer, form: str
) -> None:
    sealed = signer.seal(form, DOCUMENT)
    assert sealed == signer.seal(form, DOCUMENT) != signer.seal(form, DOCUMENT + b" ")
    assert all(len(line) <= 64 for line in sealed.split(b"\n"))
    assert not sealed.endswith(b"\n")


def test_the_certificate_is_made_once_and_kept(tmp_path: Path, fake_ports: FakePorts) -> None:
    state = State(str(tmp_path / "state"))
    made = Signer(fake_ports.ports, state).certificate()
    assert Signer(fake_ports.ports, state).certificate() == made
    assert (tmp_path / "state/identity.pem").stat().st_mode & 0o077 == 0
    certificate = x509.load_pem_x509_certificate(made)
    assert certificate.not_valid_before_utc.timestamp() < fake_ports.now
    assert certificate.not_valid_after_utc.year > 2050


def test_threads_that_begin_at_once_use_one_key(tmp_path: Path) -> None:
    signer = Signer(SYSTEM, State(str(tmp_path)))
    other = Signer(SYSTEM, State(str(tmp_path)))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(one.certificate()))
        for one in (signer, signer, other, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4


def given(folder: Path, certificate: bytes, key: bytes) -> Signer:
    (folder / "crt.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)
    state = State(str(folder / "none"))
    return Signer(SYSTEM, state, str(folder / "crt.pem"), str(folder / "key.pem"))


def private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


def test_the_operators_own_pair_signs(tmp_path: Path, pem: bytes) -> None:
    signer = given(tmp_path, pem, pem)
    assert signer.certificate() in pem
    assert signer.seal("signature", DOCUMENT)
    assert not (tmp_path / "none").exists()


def test_what_is_no_pair_is_refused(tmp_path: Path, pem: bytes) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  refused
    curve = ec.generate_private_key(ec.SECP256R1())
    for key in (private(other), private(short), private(curve), private(other, b"p"), b"none"):
        with pytest.raises(ConfigError, match="--identity-cert"):
            given(tmp_path, pem, key).certificate()
    with pytest.raises(ConfigError, match="--identity-cert"):
        given(tmp_path, b"none", pem).certificate()


def test_half_a_pair_or_one_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    with pytest.raises(ConfigError, match="--identity-key"):
        Signer(SYSTEM, state, "crt.pem")
    with pytest.raises(ConfigError, match="--identity-cert"):
        Signer(SYSTEM, state, "", "key.pem")
    with pytest.raises(ConfigError, match="No such file"):
        Signer(SYSTEM, state, str(tmp_path / "a"), str(tmp_path / "b")).certificate()


def test_a_state_folder_that_cannot_be_used_is_said(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "identity.pem").write_bytes(b"rubbish")
    with pytest.raises(StartError, match="remove it and another is made"):
        Signer(SYSTEM, State(str(tmp_path))).certificate()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError, match="cannot be kept"):
        Signer(SYSTEM, State(str(tmp_path / "file"))).certificate()


LOOKS = """
import sys
from emulator.ports import SYSTEM
from emulator.signing import Signer

signer = Signer(SYSTEM, None, "crt.pem", "key.pem")
signer.check()
assert not signer.attests("shop")
assert not signer.refresh()
sys.exit("cryptography" in sys.modules)
"""


def test_the_library_is_not_imported_before_something_is_signed(
    tmp_path: Path, pem: bytes
) -> None:
    given(tmp_path, pem, pem)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", LOOKS]
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode == 0


def test_a_certificate_is_served_with_those_above_it_and_without_the_key(tmp_path: Path) -> None:
    authority = found(SYSTEM)
    made = Authority(authority.certificate, authority.key, SYSTEM.wall()).certify("shop", SYSTEM)
    # In whatever file they stand.
    everything = b"Bag Attributes\n" + made.key + made.certificate
    signer = given(tmp_path, everything, everything)
    assert signer.seal("certificate", DOCUMENT) == made.certificate
    assert made.certificate == signer.certificate() + authority.certificate
    own = Signer(SYSTEM, State(str(tmp_path / "state")))
    assert own.seal("certificate", DOCUMENT) == own.certificate()
    assert b"PRIVATE" not in own.certificate()


def certified(*namespaces: str) -> list[Made]:
    made = found(SYSTEM)
    authority = Authority(made.certificate, made.key, SYSTEM.wall())
    return [authority.certify(namespace, SYSTEM) for namespace in namespaces]


def test_a_given_certificate_attests_the_namespace_that_it_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [shop] = certified("shop")
    signer = given(tmp_path, shop.certificate, shop.key)
    assert signer.attests("shop")
    assert not caplog.messages
    assert not signer.attests("bank")
    assert not signer.attests("bank")
    [said] = caplog.messages
    assert "does not name bank.namespace.imds-emulator.internal" in said


def test_a_certificate_of_its_own_making_attests_all_but_in_a_pod(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    assert Signer(SYSTEM, state).attests("shop")
    in_pod = Signer(SYSTEM, state, pod=True)
    assert not in_pod.attests("shop")
    assert not (tmp_path / "state").exists()
    # What EC2 signs does not wait for anybody's keys.
    assert in_pod.seal("rsa2048", DOCUMENT)


def test_files_that_change_are_taken_over(tmp_path: Path) -> None:
    one, other = certified("shop", "bank")
    signer = given(tmp_path, one.certificate, one.key)
    signer.check()
    before = signer.seal("signature", DOCUMENT)
    assert not signer.refresh()
    # The same once more, as with each token that the kubelet rotates.
    (tmp_path / "crt.pem").unlink()
    given(tmp_path, one.certificate, one.key)
    assert not signer.refresh()
    given(tmp_path, other.certificate, other.key)
    assert signer.refresh()
    assert not signer.refresh()
    assert signer.seal("certificate", DOCUMENT) == other.certificate
    assert signer.seal("signature", DOCUMENT) != before
    assert signer.attests("bank")
    assert not signer.attests("shop")


@pytest.mark.parametrize("used", [True, False])
def test_broken_files_leave_the_last_good_ones_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, used: bool
) -> None:
    one, other = certified("shop", "bank")
    signer = given(tmp_path, one.certificate, one.key)
    signer.check()
    if used:
        signer.certificate()
    (tmp_path / "key.pem").write_bytes(other.key)
    assert not signer.refresh()
    assert "the key is not the certificate's" in signer.problem
    assert not signer.refresh()
    assert len(caplog.messages) == 1
    (tmp_path / "crt.pem").unlink()
    assert not signer.refresh()
    assert "No such file" in signer.problem
    assert signer.seal("certificate", DOCUMENT) == one.certificate
    assert signer.attests("shop")
    (tmp_path / "crt.pem").write_bytes(other.certificate)
    assert signer.refresh()
    assert not signer.problem


def test_what_only_the_library_sees_is_said_when_it_signs(tmp_path: Path) -> None:
    [shop] = certified("shop")
    # Its last element has a length that cannot be: key and name are still there to be seen.
    der = bytearray(x509.load_pem_x509_certificate(shop.certificate).public_bytes(Encoding.DER))
    place = der.index(x509.load_pem_x509_certificate(shop.certificate).signature[:16])
    der[place - 3] ^= 0xFF
    bad = b"-----BEGIN CERTIFICATE-----\n" + encodebytes(der) + b"-----END CERTIFICATE-----\n"
    signer = given(tmp_path, bad, shop.key)
    signer.check()
    assert not signer.problem
    with pytest.raises(ConfigError, match="--identity-cert"):
        signer.seal("signature", DOCUMENT)
    assert "--identity-cert" in signer.problem


def test_trust_prints_the_certificate(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emulator", "trust", "--state", str(tmp_path)]
    printed = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert printed[0] == printed[1] == Signer(SYSTEM, State(str(tmp_path))).certificate()
