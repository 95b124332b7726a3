"""OpenSSL's word on certificates that Helm has made."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def complaint(authority: str, certificate: str, host: str, folder: Path) -> str:
    """Say why ``certificate`` is not good for ``host``; both are PEM in base64, "" if it is."""
    (folder / "ca.pem").write_bytes(b64decode(authority))
    (folder / "certificate.pem").write_bytes(b64decode(certificate))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / "ca.pem")]
    command += ["-verify_hostname", host, str(folder / "certificate.pem")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def belongs(certificate: str, key: str) -> bool:
    """Say whether a private key is the certificate's; both are PEM in base64."""
    public = (
        _openssl(b64decode(certificate), "x509", "-noout", "-pubkey"),
        _openssl(b64decode(key), "pkey", "-pubout"),
    )
    return public[0] == public[1]


def decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    """Give what a Secret's files hold."""
    return {name: b64decode(text, validate=True) for name, text in data.items()}


def _openssl(sent: bytes, *arguments: str) -> bytes:
    done = subprocess.run(["openssl", *arguments], input=sent, capture_output=True, check=True)
    return done.stdout
