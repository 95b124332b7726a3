"""One key, its certificate, and the forms in which documents are signed (contract 3.5)."""

from __future__ import annotations

import logging
import os
import threading
from base64 import encodebytes
from typing import TYPE_CHECKING, Protocol

from emulator.errors import ConfigError, Problem, StartError
from emulator.ports import Ports

if TYPE_CHECKING:
    from emulator.signing.pair import Pair

NAME = "identity.pem"
_ENCLOSED = "attested"

_log = logging.getLogger("imds")


class KeyStore(Protocol):
    """Where a generated key and its certificate are kept."""

    def settle(self, name: str, data: bytes) -> bytes:
        """Keep ``data`` unless there is a ``name``; give what is kept; raise ``OSError``."""

    def load(self, name: str) -> bytes | None:
        """Give what is kept as ``name``, None if nothing is; raise ``OSError``."""


class Signer:
    """Signs with the operator's key, or with one that is made once and kept.

    May be used by several threads at once. ``problem`` says why the files that there are now are
    not in use, or cannot sign; it is empty if they do.
    """

    def __init__(
        self,
        ports: Ports,
        keystore: KeyStore,
        certificate: str = "",
        key: str = "",
        *,
        pod: bool = False,
    ) -> None:
        """Use the PEM files ``certificate`` and ``key`` if they are given.

        In a ``pod`` a key of its own making attests nothing. Raises ``ConfigError`` if only one of
        the files is given.
        """
        if bool(certificate) != bool(key):
            flag = "--identity-key" if certificate else "--identity-cert"
            allowed = "a certificate and its key, or neither"
            raise ConfigError(Problem("command line", 0, flag, "nothing", allowed))
        self._ports = ports
        self._keystore = keystore
        self._files = (certificate, key) if certificate else ()
        self._pod = pod
        self._loading = threading.Lock()
        self._seen: object = None
        self._given: tuple[bytes, bytes] | None = None
        self._pair: Pair | None = None
        self._unnamed: set[str] = set()
        self.problem = ""

    def check(self) -> None:
        """Read the given files, if any, and look at them; raise ``ConfigError``.

        They are looked at without the library that signs, which is not carried before it is used.
        """
        with self._loading:
            if self._files and self._given is None:
                self._take()

    def refresh(self) -> bool:
        """Take the given files over if they are others than before; say whether it did.

        Where they cannot be used, those from before stay in use.
        """
        with self._loading:
            if not self._files or self._states() == self._seen:
                return False
            before = self._given
            try:
                self._take()
            except ConfigError as error:
                self.problem = str(error)
                _log.error("the last good identity certificate stays in use: %s", error)
                return False
            self.problem = ""
            # The kubelet writes all files of a volume anew when it rotates a token.
            if self._given == before:
                return False
            self._pair = None
            self._unnamed.clear()
        _log.info("took over another identity certificate")
        return True

    def attests(self, namespace: str) -> bool:
        """Say whether a document of ``namespace`` can be signed so that it verifies as that.

        A given certificate has to name the namespace. Raises ``ConfigError`` as ``check`` does.
        """
        if not self._files:
            return not self._pod
        from emulator.signing.glance import host, names  # noqa: PLC0415  most have no files

        self.check()
        assert self._given is not None  # noqa: S101 - check gives it
        if names(self._given[0], namespace):
            return True
        if namespace not in self._unnamed:
            self._unnamed.add(namespace)
            what = "the identity certificate does not name %s: nothing is attested in %s"
            _log.warning(what, host(namespace), namespace)
        return False

    def seal(self, form: str, document: bytes) -> bytes:
        """Sign ``document``: the same bytes give the same signature.

        ``signature`` is base64 of an RSA signature with SHA-256 (PKCS #1 v1.5); ``pkcs7`` and
        ``rsa2048`` are base64 of PKCS #7 signed data that holds the document, without armour,
        ``attested`` has the certificate in it too, from which Azure's verifiers start; EC2's have
        it from elsewhere. ``certificate`` is what verifies: the PEM text as it was given, the
        signing certificate first.
        Raises ``ConfigError`` or ``StartError`` if there is no key.
        """
        pair = self._ready()
        if form == "certificate":
            return pair.chain
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
                self._pair = self._loaded() if self._files else self._kept()
            return self._pair

    def _states(self) -> list[object]:
        """Tell one content of the files from another, through the links that Kubernetes swaps."""
        return [_state(file) for file in self._files]

    def _take(self) -> None:
        from emulator.signing.glance import check  # noqa: PLC0415  most have no files

        # Before they are read: what changes meanwhile shows with the next look.
        self._seen = self._states()
        found = []
        for flag, file in zip(("--identity-cert", "--identity-key"), self._files, strict=True):
            try:
                found.append(self._ports.read(file))
            except OSError as error:
                why = f"{file}: {error.strerror}"
                problem = Problem("command line", 0, flag, why, "a readable PEM file")
                raise ConfigError(problem) from error
        certificate, key = found
        try:
            check(certificate, key)
        except ValueError as error:
            raise self._unfit(error) from error
        self._given = certificate, key

    def _loaded(self) -> Pair:
        from emulator.signing.pair import load  # noqa: PLC0415  see check

        if self._given is None:
            self._take()
        assert self._given is not None  # noqa: S101 - _take gives it
        try:
            return load(*self._given)
        except ValueError as error:
            unfit = self._unfit(error)
            self.problem = str(unfit)
            raise unfit from error

    def _unfit(self, error: ValueError) -> ConfigError:
        why = f"{', '.join(self._files)}: {error}"
        allowed = "a PEM certificate and its unencrypted RSA key of 2048 bits or more"
        return ConfigError(Problem("command line", 0, "--identity-cert", why, allowed))

    def _kept(self) -> Pair:
        from emulator.signing.authority import generate  # noqa: PLC0415  see check
        from emulator.signing.pair import load  # noqa: PLC0415

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


def _state(file: str) -> object:
    try:
        status = os.stat(file)  # noqa: PTH116 - without pathlib's objects, it is polled
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _lines(data: bytes) -> bytes:
    text = encodebytes(data).replace(b"\n", b"")
    return b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
