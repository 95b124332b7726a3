"""``emulator.credentials``: what is asked of STS, by nobody's settings but the machine's."""

from __future__ import annotations

import datetime as dt
import ssl
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emulator.core.credentials import RoleCredentials
from emulator.credentials import bounded
from emulator.credentials.sts import Sts as Exchange
from emulator.errors import CredentialsUnavailable
from emulator.model.credentials import AwsCredentials
from emulator.ports import SYSTEM
from tests.credentials.conftest import TOKEN, Shows
from tests.credentials.sts import EMPTY, Sts
from tests.reliability.broken import Broken

ARN = "arn:aws:iam::123456789012:role/web"
CONFIG = AwsCredentials(role="web", provider="web-identity", role_arn=ARN, lifetime=1800)


def exchange(sts: Sts, name: str = "web-1") -> RoleCredentials:
    wanted = msgspec.structs.replace(CONFIG, endpoint=sts.url)
    return Exchange(SYSTEM).exchange(wanted, TOKEN, "here", name)


def refused(sts: Sts) -> CredentialsUnavailable:
    with pytest.raises(CredentialsUnavailable) as error:
        exchange(sts)
    return error.value


def test_only_what_sts_needs_is_sent(sts: Sts, shows_none: Shows) -> None:
    found = exchange(sts)
    assert sts.asked == [
        {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": ARN,
            "RoleSessionName": "web-1",
            "WebIdentityToken": TOKEN,
            "DurationSeconds": "1800",
            "Authorization": "",
        }
    ]
    assert found.access_key_id.startswith("ASIA")
    assert found.secret_access_key
    assert found.token
    assert found.account == "123456789012"
    assert 1700 < found.expires - SYSTEM.wall() <= 1801
    shows_none([TOKEN, found.secret_access_key, found.token, found.access_key_id], found)


@pytest.mark.parametrize(("name", "session"), [("x", "x-"), ("n" * 70, "n" * 64)])
def test_a_session_s_name_has_the_length_that_sts_takes(name: str, session: str, sts: Sts) -> None:
    exchange(sts, name)
    assert sts.asked[0]["RoleSessionName"] == session


def test_the_host_s_settings_play_no_part(
    sts: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = nowhere\nendpoint_url = http://127.0.0.1:9\nmax_attempts = 9\n"
    )
    for name, value in {
        "HOME": str(tmp_path),
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIAHOST",
        "AWS_SECRET_ACCESS_KEY": "host",
        "AWS_CA_BUNDLE": "/none",
        "AWS_DATA_PATH": "/none",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert exchange(sts).access_key_id
    assert sts.asked[0]["Authorization"] == ""


def test_a_server_that_fails_is_asked_once(sts: Sts) -> None:
    sts.says = ("503 Service Unavailable", "busy")
    assert refused(sts).code == "Failed"
    assert len(sts.asked) == 1


def test_nobody_there(sts: Sts) -> None:
    sts.stop()
    error = refused(sts)
    sts.start()
    assert str(error) == "STS does not answer"
    assert error.detail == f"{sts.url}: ConnectionRefusedError"


@pytest.mark.parametrize("how", ["hang", "drip", "drip_head", "flood"])
def test_who_never_comes_to_an_end_is_left(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.post, "__defaults__", (0.5,))
    with Broken(9) as sts:
        sts.how = getattr(sts, how)
        wanted = msgspec.structs.replace(CONFIG, endpoint=sts.url)
        begun = time.monotonic()
        with pytest.raises(CredentialsUnavailable) as error:
            Exchange(SYSTEM).exchange(wanted, TOKEN, "here", "web-1")
        assert time.monotonic() - begun < 10
    kind = "Long" if how == "flood" else "Late"
    assert error.value.detail == f"{sts.url}: {kind}"


def test_an_answer_without_keys(sts: Sts) -> None:
    sts.says = ("200 OK", EMPTY)
    error = refused(sts)
    assert str(error) == "STS gave no keys"
    assert error.detail == f"{sts.url}: an answer without 'AccessKeyId'"


@pytest.mark.parametrize("code", ["Not A Word", "x" * 65, "a&lt;b", TOKEN])
def test_a_strange_code_is_not_repeated(code: str, sts: Sts, shows_none: Shows) -> None:
    sts.deny(code)
    error = refused(sts)
    assert str(error).endswith(": an error")
    shows_none([code, TOKEN], error, error.detail)


def test_without_botocore_it_says_what_to_install(
    sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    error = refused(sts)
    assert str(error) == "the server lacks what asks STS"
    assert error.detail == "botocore is not installed: pip install imds-emulator[aws]"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority; its key stands behind it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sts")])
    now = dt.datetime.fromtimestamp(SYSTEM.wall(), dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "sts.pem"
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + pkcs8)
    return file


def test_a_certificate_counts_if_the_host_knows_it(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sts((str(certificate), str(certificate))) as sts:
        error = refused(sts)
        assert (str(error), error.detail) == (
            "STS does not answer",
            f"{sts.url}: SSLCertVerificationError",
        )
        assert sts.asked == []
        known = ssl.DefaultVerifyPaths(str(certificate), "", "", "", "", "")
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: known)
        assert exchange(sts).access_key_id
