"""One door to every token source."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.core.message import JSON, Reply, ServiceToken
from emulator.errors import StartError, TokenUnavailable
from emulator.model.instance import Instance, Token
from emulator.ports import Ports
from emulator.tokens.documents import DISCOVERY_PATH, JWKS_PATH, JWKS_TYPE, discovery, jwks
from emulator.tokens.files import TokenFiles
from emulator.tokens.issuer import DEFAULT_ISSUER, Issuer, KeyStore

Used = Callable[[str, float], None]

PROVIDER = "serviceaccount"
"""What metrics call whoever keeps the files of ServiceAccount tokens fresh: the kubelet."""


def _nobody(_provider: str, _expires: float) -> None:
    pass


class Tokens:
    """Gives the tokens that instances are offered, and what verifies those issued here."""

    def __init__(
        self, ports: Ports, keystore: KeyStore, issuer_url: str = "", used: Used = _nobody
    ) -> None:
        """Issue as ``issuer_url``, where ``pages`` should be served; keys are in ``keystore``.

        ``used`` is told when a token ends that was read for somebody.
        """
        self._used = used
        self._files = TokenFiles(ports)
        self._issuer = Issuer(ports, keystore, issuer_url or DEFAULT_ISSUER)

    def issue_as(self, url: str) -> None:
        """Be the issuer ``url`` from now on: known once the operator's listener has its port."""
        self._issuer.url = url

    async def prepare(self) -> None:
        """Have the issuer's key, so that the first token does not wait; raise ``StartError``."""
        await self._issuer.prepare()

    async def token(self, instance: Instance, audience: str) -> ServiceToken | None:
        """Give the token of ``instance`` for ``audience``, None if it is offered none.

        Empty asks for its default one. Raises ``TokenUnavailable``.
        """
        offer = offered(instance, audience)
        if offer is None:
            return None
        if offer.file:
            found = await self._files.read(offer.file)
            if found.expires is not None:
                self._used(PROVIDER, found.expires)
            return found
        try:
            return await self._issuer.issue(instance, offer.audience, offer.lifetime)
        except StartError as error:
            raise TokenUnavailable(str(error)) from error

    async def read(self, path: str) -> ServiceToken:
        """Give the token in the file at ``path``; raise ``TokenUnavailable``."""
        return await self._files.read(path)

    async def sign(self, claims: Mapping[str, object]) -> str:
        """Give ``claims`` as a JWT of the issuer's key; raise ``TokenUnavailable``."""
        try:
            return await self._issuer.signed(claims)
        except StartError as error:
            raise TokenUnavailable(str(error)) from error

    def pages(self) -> dict[str, Callable[[], Reply]]:
        """Give what verifiers read, by path; the key set is empty until something is signed."""
        return {
            JWKS_PATH: lambda: Reply(200, jwks(self._issuer.keys), JWKS_TYPE),
            DISCOVERY_PATH: lambda: Reply(200, discovery(self._issuer.url), JSON),
        }


def offered(instance: Instance, audience: str) -> Token | None:
    """Find the token for ``audience``; the default one has no name, or else is the first."""
    named = {token.audience: token for token in reversed(instance.tokens)}
    if audience or "" in named:
        return named.get(audience)
    return instance.tokens[0] if instance.tokens else None
