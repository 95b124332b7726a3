"""A certificate's files, looked at again and again."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from emulator.errors import ConfigError
from emulator.webhook.tls import Certificate
from tests.webhook.process import Authority, Mount


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def mount(tmp_path: Path, authority: Authority) -> Mount:
    made = Mount(tmp_path / "tls")
    made.put(authority.pair()[0])
    return made


def read(mount: Mount) -> Certificate:
    return Certificate(mount.path("tls.crt"), mount.path("tls.key"))


def test_files_that_stay_are_not_read_again(mount: Mount) -> None:
    certificate = read(mount)
    context = certificate.context
    assert not certificate.renew()
    assert certificate.context is context


def test_other_files_make_another_context(mount: Mount, authority: Authority) -> None:
    certificate = read(mount)
    context = certificate.context
    mount.put(authority.pair()[0])
    assert certificate.renew()
    assert certificate.context is not context
    assert not certificate.renew()


def test_broken_files_leave_the_old_context_until_they_are_good(
    mount: Mount, authority: Authority
) -> None:
    certificate = read(mount)
    context = certificate.context
    good, _ = authority.pair()
    mount.put({**good, "tls.key": b""})
    assert not certificate.renew()
    assert certificate.context is context
    assert "--cert: found" in certificate.problem
    Path(mount.path("tls.key")).unlink()
    assert not certificate.renew()
    assert "No such file" in certificate.problem
    Path(mount.path("tls.key")).write_bytes(good["tls.key"])
    assert certificate.renew()
    assert certificate.problem == ""


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    mount: Mount, authority: Authority
) -> None:
    files, _ = authority.pair()
    key = serialization.load_pem_private_key(files["tls.key"], None)
    files["tls.key"] = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    mount.put(files)
    with pytest.raises(ConfigError, match="unencrypted key"):
        read(mount)
