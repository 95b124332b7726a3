"""The built-in issuer: ServiceAccount tokens as Kubernetes makes them, for use without a cluster.

The claims are those of Kubernetes' bound tokens (``pkg/serviceaccount/claims.go``) but for the
pod: the guest sees its machine, never the pod around it.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Mapping
from typing import Protocol

import msgspec

from emulator.core.message import ServiceToken
from emulator.errors import StartError
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.tokens.documents import PublicKey
from emulator.tokens.jwt import encode
from emulator.tokens.keys import SigningKey, generate, load

# What a cluster made by kubeadm calls itself.
DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"

KEY_NAME = "issuer.pem"

# The kubelet asks for a new projected token when the old one has lived so much of its life.
RENEW_AT = 0.8

# Tokens kept for reuse; beyond it the oldest goes. Signing anew costs about a millisecond.
KEPT = 1024


class KeyStore(Protocol):
    """Where a generated key outlives the process."""

    def load(self, name: str) -> bytes | None:
        """Give what was saved as ``name``, None if nothing was; raise ``OSError``."""

    def save(self, name: str, data: bytes) -> None:
        """Keep ``data`` as ``name`` for its owner's eyes alone; raise ``OSError``."""


class _Issued(msgspec.Struct, frozen=True):
    token: ServiceToken
    since: float
    until: float


class Issuer:
    """Signs tokens with one key, made when first needed and kept."""

    def __init__(self, ports: Ports, keystore: KeyStore, url: str) -> None:
        """Issue as ``url``; the key is in ``keystore``."""
        self.url = url
        self._ports = ports
        self._keystore = keystore
        self._making = threading.Lock()
        self._key: SigningKey | None = None
        self._issued: dict[tuple[str, str, str, str, int], _Issued] = {}

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that verify what was issued; none before the first is needed."""
        return (self._key.public,) if self._key else ()

    async def prepare(self) -> None:
        """Have the key; raise ``StartError``. Making one takes a good part of a second."""
        await self._ready()

    async def issue(self, instance: Instance, audience: str, lifetime: int) -> ServiceToken:
        """Give a token of ``instance`` that lives a fifth of ``lifetime`` or longer from now.

        Raises ``StartError`` if there is no key.
        """
        key = await self._ready()
        now = float(int(self._ports.wall()))
        account = (instance.namespace, instance.service_account)
        slot = (instance.uuid, *account, audience, lifetime)
        issued = self._issued.pop(slot, None)
        if issued is None or not issued.since <= now < issued.until:
            token = self._sign(key, account, audience or self.url, int(now), lifetime)
            issued = _Issued(token, now, now + RENEW_AT * lifetime)
        self._issued[slot] = issued
        if len(self._issued) > KEPT:
            del self._issued[next(iter(self._issued))]
        return issued.token

    async def signed(self, claims: Mapping[str, object]) -> str:
        """Give ``claims`` as a JWT (RS256); raise ``StartError`` if there is no key."""
        return _jwt(await self._ready(), claims)

    def _sign(
        self, key: SigningKey, account: tuple[str, str], audience: str, now: int, lifetime: int
    ) -> ServiceToken:
        namespace, name = account
        claims = {
            "aud": [audience],
            "exp": now + lifetime,
            "iat": now,
            "iss": self.url,
            "jti": str(uuid.UUID(bytes=self._ports.random(16), version=4)),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {
                    "name": name,
                    "uid": _account_uid(namespace, name),
                },
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return ServiceToken(_jwt(key, claims), float(now + lifetime))

    async def _ready(self) -> SigningKey:
        if self._key is None:
            return await asyncio.to_thread(self._load_or_make)
        return self._key

    def _load_or_make(self) -> SigningKey:
        # A lock of threads, not of tasks: a guest that hangs up cancels its task, but not the
        # thread that is making the key for it.
        with self._making:
            key = self._key or load(self._stored())
            self._key = key
        return key

    def _stored(self) -> bytes:
        try:
            pem = self._keystore.load(KEY_NAME)
            if pem is None:
                pem = generate()
                self._keystore.save(KEY_NAME, pem)
        except OSError as error:
            raise StartError(f"the issuer's key cannot be kept: {error}") from error
        return pem


def _jwt(key: SigningKey, claims: Mapping[str, object]) -> str:
    header = {"alg": "RS256", "kid": key.kid, "typ": "JWT"}
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


def _part(value: Mapping[str, object]) -> str:
    return encode(msgspec.json.encode(value))


def _account_uid(namespace: str, name: str) -> str:
    """Give what stands for the UID of a ServiceAccount that no cluster ever gave one."""
    urn = f"urn:imds-emulator:serviceaccount:{namespace}/{name}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, urn))
