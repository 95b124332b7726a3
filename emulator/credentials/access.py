"""One door to every provider of bearer tokens, Google's and Azure's."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite, nan
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from emulator.core.credentials import AccessToken
from emulator.core.message import ServiceToken
from emulator.credentials import web
from emulator.credentials.exchanges import Exchanges, Spawn, Told, Wanted
from emulator.credentials.moments import UNSAID, moment, span
from emulator.errors import CredentialsUnavailable, StartError, TokenUnavailable
from emulator.model.accounts import Account, AzureIdentity, GoogleAccount
from emulator.model.instance import Instance
from emulator.ports import Ports

# How long Google's tokens are.
_OPAQUE = 720

# Exchanges at once. They take no thread, and so may be more than those of programs and STS.
_AT_ONCE = 8

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS = "urn:ietf:params:oauth:token-type:access_token"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Sources(msgspec.Struct, frozen=True):
    """Where tokens come from.

    ``tokens`` gives a machine's ServiceAccount token for an audience, ``read`` what a file holds,
    ``sign`` a JWT of the built-in issuer, ``key`` the key of what is generated.
    """

    tokens: Callable[[Instance, str], Awaitable[ServiceToken | None]]
    read: Callable[[str], Awaitable[ServiceToken]]
    sign: Callable[[Mapping[str, object]], Awaitable[str]]
    key: Callable[[], bytes]


_Token = Annotated[str, msgspec.Meta(min_length=1)]


class _Granted(msgspec.Struct):
    """An OAuth 2 answer (RFC 6749, 5.1); Azure's old endpoint has numbers as texts."""

    access_token: _Token
    expires_in: float | str = UNSAID


class _Impersonated(msgspec.Struct):
    """What Google's ``generateAccessToken`` answers."""

    access_token: _Token = msgspec.field(name="accessToken")
    expire_time: str = msgspec.field(name="expireTime")


class AccessTokens:
    """Gives the bearer tokens that machines are described to have."""

    def __init__(
        self, ports: Ports, sources: Sources, spawn: Spawn, told: Told | None = None
    ) -> None:
        """Tell time by ``ports``; an exchange is work for ``spawn``, ``told`` hears of each."""
        self._ports = ports
        self._sources = sources
        self._exchanges: Exchanges[AccessToken] = Exchanges(ports, spawn, _AT_ONCE, told)

    async def get(self, instance: Instance, account: Account, scope: str) -> AccessToken:
        """Give a token of ``account`` for ``scope``; raise ``CredentialsUnavailable``.

        ``scope`` is what Google has as scopes, separated by commas, and Azure as resource; the
        guest chose it, so dialects bound its length.
        """
        wanted = _wanted(instance, account, scope)
        if account.exchanged:
            return await self._exchanges.kept(wanted, lambda: self._ask(instance, account, scope))
        return await self._exchanges.direct(wanted, lambda: self._have(instance, account, scope))

    async def _have(self, instance: Instance, account: Account, scope: str) -> AccessToken:
        now = self._ports.wall()
        if account.provider == "file":
            return await self._read(account.file, now)
        since, until = span(account.lifetime, now)
        try:
            if isinstance(account, AzureIdentity):
                token = await self._sources.sign(_claims(account, scope, since, until))
            else:
                token = self._opaque(instance, account, scope, since)
        except (StartError, TokenUnavailable) as error:
            message = "the token cannot be made"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        return AccessToken(token, float(since), float(until))

    async def _read(self, path: str, now: float) -> AccessToken:
        try:
            found = await self._sources.read(path)
        except TokenUnavailable as error:
            message = "the token cannot be read"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        expires = span(UNSAID, now)[1] if found.expires is None else found.expires
        return AccessToken(found.token, now, expires)

    def _opaque(self, instance: Instance, account: GoogleAccount, scope: str, since: int) -> str:
        """Give what looks like Google's: the same on each server that has the same key."""
        said = f"access/{instance.uuid}/{account.email}/{scope}/{since}"
        seed = hmac.digest(self._sources.key(), said.encode(), "sha256")
        return "ya29.c." + urlsafe_b64encode(hashlib.shake_256(seed).digest(_OPAQUE)).decode()

    async def _ask(self, instance: Instance, account: Account, scope: str) -> AccessToken:
        try:
            token = await self._sources.tokens(instance, account.token_audience)
        except TokenUnavailable as error:
            message = "the machine's ServiceAccount token cannot be had"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        if token is None:
            raise CredentialsUnavailable(f"no token for {account.token_audience} is offered")
        if isinstance(account, AzureIdentity):
            return await self._federated(account, scope, token.token)
        return await self._workload(account, scope, token.token)

    async def _workload(self, account: GoogleAccount, scope: str, subject: str) -> AccessToken:
        """Exchange by RFC 8693; then perhaps have another account's token for that one."""
        wide = "https://www.googleapis.com/auth/cloud-platform"
        form = {
            "grant_type": _GRANT,
            "audience": account.audience,
            "scope": wide if account.impersonate else scope.replace(",", " "),
            "requested_token_type": _ACCESS,
            "subject_token": subject,
            "subject_token_type": _JWT,
        }
        first = await self._granted(account.endpoint, form)
        if not account.impersonate:
            return first
        url = (
            f"{account.impersonation_endpoint.rstrip('/')}"
            f"/projects/-/serviceAccounts/{account.impersonate}:generateAccessToken"
        )
        body = msgspec.json.encode({"scope": scope.split(",")})
        found = await web.post(url, body, web.JSON, _Impersonated, bearer=first.token)
        ends = moment(found.expire_time)
        if ends is None:
            raise CredentialsUnavailable("the token service gave no token", detail=url)
        return AccessToken(found.access_token, self._ports.wall(), ends)

    async def _federated(
        self, identity: AzureIdentity, resource: str, assertion: str
    ) -> AccessToken:
        """Ask with a client assertion (RFC 7523), as Azure's workload identity does."""
        endpoint = identity.endpoint or (
            f"https://login.microsoftonline.com/{identity.tenant_id}/oauth2/v2.0/token"
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": identity.client_id,
            "client_assertion_type": _BEARER,
            "client_assertion": assertion,
            "scope": f"{resource.removesuffix('/')}/.default",
        }
        return await self._granted(endpoint, form)

    async def _granted(self, url: str, form: dict[str, str]) -> AccessToken:
        granted = await web.post(url, urlencode(form).encode(), web.FORM, _Granted)
        now = self._ports.wall()
        try:
            lives = float(granted.expires_in)
        except ValueError:
            lives = nan
        if not isfinite(lives):
            raise CredentialsUnavailable("the token service gave no token", detail=url)
        return AccessToken(granted.access_token, now, now + lives)


def _wanted(instance: Instance, account: Account, scope: str) -> Wanted:
    identity = (instance.namespace, instance.service_account)
    key = (account, identity, instance.tokens)
    name = account.client_id if isinstance(account, AzureIdentity) else account.email
    machine = f"{instance.namespace}/{instance.name}"
    told = (f"token of {name}", scope, account.provider, account.endpoint)
    return Wanted(instance.uuid, key, machine, *told)


def _claims(identity: AzureIdentity, resource: str, since: int, until: int) -> dict[str, object]:
    """Give what an access token of Azure says (its version 1.0)."""
    return {
        "aud": resource,
        "iss": f"https://sts.windows.net/{identity.tenant_id}/",
        "iat": since,
        "nbf": since,
        "exp": until,
        "appid": identity.client_id,
        "appidacr": "2",
        "idp": f"https://sts.windows.net/{identity.tenant_id}/",
        "idtyp": "app",
        "oid": identity.object_id,
        "sub": identity.object_id,
        "tid": identity.tenant_id,
        "ver": "1.0",
        **({"xms_mirid": identity.resource_id} if identity.resource_id else {}),
    }
