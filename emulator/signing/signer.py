"""One key, its certificate, and the forms in which EC2 signs a document (contract 3.5)."""

from __future__ import annotations

import threading
from base64 import encodebytes
from typing import Protocol

from emulator.errors import ConfigError, Problem, StartError
from emulator.ports import Ports
from emulator.signing.pair import Pair, generate, load

NAME = "identity.pem"
FORMS = ("signature", "pkcs7", "rsa2048", "attested")
_ENCLOSED = "attested"


class KeyStore(Protocol):
    """Where a generated key and its certificate are kept."""

    def settle(self, name: str, data: bytes) -> bytes:
        """Keep ``data`` unless there is a ``name``; give what is kept; raise ``OSError``."""

    def load(self, name: str) -> bytes | None:
        """Give what is kept as ``name``, None if nothing is; raise ``OSError``."""


class Signer:
    """Signs with the operator's key, or with one that is made once and kept.

    May be used by several threads at once.
    """

    def __init__(
        self, ports: Ports, keystore: KeyStore, certificate: str = "", key: str = ""
    ) -> None:
        """Use the PEM files ``certificate`` and ``key`` if they are given.

        Raises ``ConfigError`` if only one of them is; they are read when first needed.
        """
        if bool(certificate) != bool(key):
            flag = "--identity-key" if certificate else "--identity-cert"
            allowed = "a certificate and its key, or neither"
            raise ConfigError(Problem("command line", 0, flag, "nothing", allowed))
        self._ports = ports
        self._keystore = keystore
        self._files = (certificate, key)
        self._loading = threading.Lock()
        self._pair: Pair | None = None

    def seal(self, form: str, document: bytes) -> bytes:
        """Sign ``document``: the same bytes give the same signature.

        ``signature`` is base64 of an RSA signature with SHA-256 (PKCS #1 v1.5); ``pkcs7`` and
        ``rsa2048`` are base64 of PKCS #7 signed data that holds the document, without armour,
        ``attested`` has the certificate in it too, from which Azure's verifiers start; EC2's have
        it from elsewhere.
        Raises ``ConfigError`` or ``StartError`` if there is no key.
        """
        pair = self._ready()
        if form == "signature":
            signed = pair.sign(document)
        else:
            signed = pair.envelop(document, form == _ENCLOSED)
        return _lines(signed)

    def certificate(self) -> bytes:
        """Give the certificate that verifies, as PEM; raise as ``seal`` does."""
        return self._ready().certificate

    def _ready(self) -> Pair:
        with self._loading:
            if self._pair is None:
                self._pair = self._given() if any(self._files) else self._kept()
            return self._pair

    def _given(self) -> Pair:
        found = []
        for flag, file in zip(("--identity-cert", "--identity-key"), self._files, strict=True):
            try:
                found.append(self._ports.read(file))
            except OSError as error:
                why = f"{file}: {error.strerror}"
                problem = Problem("command line", 0, flag, why, "a readable PEM file")
                raise ConfigError(problem) from error
        try:
            return load(*found)
        except ValueError as error:
            why = f"{', '.join(self._files)}: {error}"
            allowed = "a PEM certificate and its unencrypted RSA key of 2048 bits or more"
            problem = Problem("command line", 0, "--identity-cert", why, allowed)
            raise ConfigError(problem) from error

    def _kept(self) -> Pair:
        try:
            pem = self._keystore.load(NAME)
            if pem is None:
                pem = self._keystore.settle(NAME, generate(self._ports))
            return load(pem, pem)
        except OSError as error:
            raise StartError(f"the identity key cannot be kept: {error}") from error
        except ValueError as error:
            message = f"{NAME} in the state folder: {error}; remove it and another is made"
            raise StartError(message) from error


def _lines(data: bytes) -> bytes:
    text = encodebytes(data).replace(b"\n", b"")
    return b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
