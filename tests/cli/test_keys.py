"""``imds-emulator keys``: Secrets that can be applied, and mistakes that are named."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509

from emulator.cli import main
from emulator.ports import SYSTEM
from emulator.signing.authority import Made, found
from emulator.signing.glance import check, names

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def authority() -> Made:
    return found(SYSTEM)


def secret(members: dict[str, bytes], kind: str = "Secret") -> str:
    """Give what ``kubectl get secret -o json`` prints."""
    data = {name: b64encode(value).decode() for name, value in members.items()}
    metadata = {"name": "imds-emulator-ca", "resourceVersion": "1"}
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data})


def pipe(monkeypatch: Patch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def printed(capsys: Capture) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(capsys.readouterr().out))


def test_each_namespace_gets_its_secret(
    authority: Made, monkeypatch: Patch, capsys: Capture
) -> None:
    pipe(monkeypatch, secret({"ca.crt": authority.certificate, "ca.key": authority.key}))
    assert main(["keys", "shop", "bank"]) == 0
    manifests = printed(capsys)
    for namespace, manifest in zip(("shop", "bank"), manifests, strict=True):
        data = {name: b64decode(text) for name, text in manifest.pop("data").items()}
        assert manifest == {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "imds-emulator-keys", "namespace": namespace},
            "type": "Opaque",
        }
        assert list(data) == ["session.key", "identity.crt", "identity.key"]
        assert len(b64decode(data["session.key"], validate=True)) == 32
        check(data["identity.crt"], data["identity.key"])
        assert names(data["identity.crt"], namespace)
        assert data["identity.crt"].endswith(authority.certificate)
    assert manifests[0] != manifests[1]


def test_an_authority_is_made_and_certifies(monkeypatch: Patch, capsys: Capture) -> None:
    assert main(["keys", "--new-ca", "imds-system"]) == 0
    text = capsys.readouterr().out
    manifest = yaml.safe_load(text)
    metadata = {"name": "imds-emulator-ca", "namespace": "imds-system"}
    assert manifest["metadata"] == metadata
    assert list(manifest["data"]) == ["ca.crt", "ca.key"]
    # As printed, without a cluster between.
    pipe(monkeypatch, text)
    assert main(["keys", "shop", "--secret", "other"]) == 0
    [made] = printed(capsys)
    assert made["metadata"] == {"name": "other", "namespace": "shop"}
    assert manifest["data"]["ca.crt"] != made["data"]["identity.crt"]


def test_what_cert_manager_made_certifies(
    authority: Made, monkeypatch: Patch, capsys: Capture
) -> None:
    members = {"ca.crt": b"another's", "tls.crt": authority.certificate, "tls.key": authority.key}
    pipe(monkeypatch, secret(members))
    assert main(["keys", "shop"]) == 0
    assert len(printed(capsys)) == 1


def test_files_certify(authority: Made, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "crt").write_bytes(authority.certificate)
    (tmp_path / "key").write_bytes(authority.key)
    flags = ["--ca-cert", str(tmp_path / "crt"), "--ca-key", str(tmp_path / "key")]
    assert main(["keys", "shop", *flags]) == 0
    [made] = printed(capsys)
    text = b64decode(made["data"]["identity.crt"])
    assert x509.load_pem_x509_certificates(text)[0].issuer.rfc4514_string() == (
        "CN=imds-emulator namespaces"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found nothing; allowed: the Secret of an authority (kubectl"),
        ("kind: ConfigMap\ndata: {}\n", "ConfigMap without data"),
        ("kind: Secret\n", "Secret without data"),
        ("[]", "no object without data"),
        ("a: [", "no YAML"),
        (secret({"tls.crt": b"x"}), "data: found tls.crt; allowed: ca.crt and ca.key or tls.crt"),
        (secret({}), "data: found nothing"),
        (secret({"ca.crt": b"x", "ca.key": b"y"}), "data: found"),
        (
            json.dumps({"kind": "Secret", "data": {"ca.crt": "?", "ca.key": "eA=="}}),
            "data.ca.crt: found",
        ),
    ],
)
def test_what_is_no_authority_is_named(
    text: str, said: str, monkeypatch: Patch, capsys: Capture
) -> None:
    pipe(monkeypatch, text)
    assert main(["keys", "shop"]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("standard input: ")
    assert said in output.err
    assert not output.out


def test_a_terminal_is_not_waited_for(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["keys", "shop"]) == 2
    assert "found a terminal" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Shop", "a.b", "-a", "*", "a" * 64, ""])
@pytest.mark.parametrize("flags", [[], ["--new-ca"]])
def test_what_is_no_namespace_is_named(flags: list[str], name: str, capsys: Capture) -> None:
    # After what is an option's only a name may follow, whatever it begins with.
    assert main(["keys", *flags, "--", "shop", name]) == 2
    assert f'NAMESPACE: found "{name}"' in capsys.readouterr().err


def test_files_that_do_not_fit_are_named(authority: Made, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "crt").write_bytes(authority.certificate)
    (tmp_path / "key").write_bytes(found(SYSTEM).key)
    crt, key = str(tmp_path / "crt"), str(tmp_path / "key")
    for flags, said in (
        (["--ca-cert", crt], "--ca-key: found nothing"),
        (["--ca-key", key], "--ca-cert: found nothing"),
        (["--ca-cert", crt, "--ca-key", key], "the key is not the certificate's"),
        (["--ca-cert", f"{crt}x", "--ca-key", key], "No such file"),
    ):
        assert main(["keys", "shop", *flags]) == 2
        assert said in capsys.readouterr().err


def test_it_works_in_a_pipeline(tmp_path: Path) -> None:
    keys = f"{sys.executable} -m emulator keys"
    command = f"set -o pipefail; {keys} --new-ca imds-system | {keys} shop"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert yaml.safe_load(done.stdout)["metadata"]["namespace"] == "shop"
