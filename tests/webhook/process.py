"""The webhook as a cluster runs it: a process of its own, with files as the kubelet lays them."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.process import DEADLINE, Process

SETTINGS = "image: registry.example/imds-emulator:1.0.0\nkeysNamespaces: [shop]\n"


class Mount:
    """A Secret's volume: ``..data`` leads to the files that are valid now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def put(self, files: dict[str, bytes]) -> None:
        """Swap all files at once, as the kubelet does."""
        self._number += 1
        version = self.folder / f"..{self._number}"
        version.mkdir(parents=True)
        for name, data in files.items():
            (version / name).write_bytes(data)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").rename(self.folder / "..data")

    def path(self, name: str) -> str:
        return str(self.folder / name)


class Authority:
    """Signs certificates for 127.0.0.1; ``path`` is its own, for clients to trust."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.path = str(folder / "ca.crt")
        Path(self.path).write_bytes(_pem(self._signed(self._name, self._key, authority=True)))

    def pair(self) -> tuple[dict[str, bytes], int]:
        """Give a certificate with its key, as files, and its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "imds-emulator")])
        certificate = self._signed(name, key, authority=False)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {"tls.crt": _pem(certificate), "tls.key": private}, certificate.serial_number

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Running(Process):
    """``imds-emulator webhook`` on a free port."""

    def __init__(self, folder: Path, *arguments: str, settings: str = SETTINGS) -> None:
        self.authority = Authority(folder)
        self.mount = Mount(folder / "tls")
        files, self.serial = self.authority.pair()
        self.mount.put(files)
        (folder / "settings.yaml").write_text(settings)
        super().__init__(
            *("webhook", "--settings", str(folder / "settings.yaml")),
            *("--cert", self.mount.path("tls.crt")),
            *("--key", self.mount.path("tls.key")),
            *("--listen", "127.0.0.1:0"),
            *arguments,
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.said(r"^listening on 127\.0\.0\.1:(\d+)$"))

    @property
    def url(self) -> str:
        """Where the API server asks."""
        return f"https://127.0.0.1:{self.port}"

    def get(self, path: str) -> requests.Response:
        """Ask as a probe does, but believe the authority only."""
        return requests.get(self.url + path, verify=self.authority.path, timeout=DEADLINE)

    def ask(
        self, whole: Any, path: str = "/mutate", session: requests.Session | None = None
    ) -> dict[str, Any]:
        """Ask as the API server does, and give its response."""
        answer = (session or requests).post(
            self.url + path, json=reviewed(whole), verify=self.authority.path, timeout=DEADLINE
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        found = answer.json()
        assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        response: dict[str, Any] = found["response"]
        return response

    def shown(self) -> int:
        """Give the serial number of the certificate that a new connection is shown."""
        pem = ssl.get_server_certificate(
            ("127.0.0.1", self.port), ca_certs=self.authority.path, timeout=DEADLINE
        )
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    def connected(self) -> ssl.SSLSocket:
        """Give a connection on which nothing was said yet."""
        context = ssl.create_default_context(cafile=self.authority.path)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    def decisions(self) -> list[dict[str, Any]]:
        """Give the lines of the log that are decisions."""
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in parsed if "allowed" in line]


def reviewed(whole: Any, operation: str = "CREATE") -> dict[str, Any]:
    """Give an AdmissionReview with all that the API server puts into one."""
    kind = whole["kind"]
    group = "" if kind == "Pod" else "kubevirt.io"
    named = {"group": group, "version": "v1", "kind": kind}
    resource = {"group": group, "version": "v1", "resource": f"{kind.lower()}s"}
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": named,
            "resource": resource,
            "requestKind": named,
            "requestResource": resource,
            "name": whole["metadata"].get("name", ""),
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
            "object": whole,
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }
