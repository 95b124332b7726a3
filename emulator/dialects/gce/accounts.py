"""What a service account gives when it is asked: access tokens, and its signed identity."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from emulator.core.message import JSON, Done, Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.errors import CredentialsUnavailable
from emulator.model.accounts import GoogleAccount

ISSUER = "https://accounts.google.com"

_HTML = "text/html"
_LIFETIME = 3600
_NO_AUDIENCE = Reply(
    400, b"non-empty audience parameter required\n", _HTML, refusal=Refusal.BAD_QUERY
)


class AccessTokenDocument(msgspec.Struct, frozen=True):
    """Gives access tokens of ``account`` (contract 4.4)."""

    account: GoogleAccount

    async def __call__(self, request: Request, services: Services) -> Done:
        """Give one for the ``scopes`` that are asked for, all of the account's without any."""
        wanted = _parameter(request, "scopes") or ",".join(self.account.scopes)
        try:
            found = await services.access_token(self.account, wanted)
        except CredentialsUnavailable as error:
            return _unavailable(error)
        document = {
            "access_token": found.token,
            "expires_in": max(0, int(found.expires - services.ports.wall())),
            "token_type": "Bearer",
        }
        return Reply(200, msgspec.json.encode(document), JSON)


class IdentityDocument(msgspec.Struct, frozen=True):
    """Gives a JWT that says who ``account`` is, and with ``format=full`` on which machine.

    ``machine`` is the claim ``google.compute_engine`` (contract 4.4), ``licenses`` its part that
    must be asked for.
    """

    account: GoogleAccount
    subject: str
    machine: Mapping[str, object]
    licenses: tuple[str, ...]

    async def __call__(self, request: Request, services: Services) -> Done:
        """Give one for the ``audience`` that is asked for."""
        audience = _parameter(request, "audience")
        if not audience:
            return _NO_AUDIENCE
        now = int(services.ports.wall())
        claims: dict[str, object] = {
            "aud": audience,
            "azp": self.subject,
            "email": self.account.email,
            "email_verified": True,
            "exp": now + _LIFETIME,
            "iat": now,
            "iss": services.issuer or ISSUER,
            "sub": self.subject,
        }
        if _parameter(request, "format").lower() == "full":
            engine = dict(self.machine)
            if _parameter(request, "licenses").lower() == "true":
                engine["license_id"] = self.licenses
            claims["google"] = {"compute_engine": engine}
        token = await services.signed(claims)
        return Reply(200, token.encode(), _HTML)


def _parameter(request: Request, name: str) -> str:
    """Give the first value of a query's parameter, empty if it has none."""
    return parse_qs(request.query, keep_blank_values=True).get(name, [""])[0]


def _unavailable(error: CredentialsUnavailable) -> Reply:
    """Refuse as a service that google-auth and Go ask again."""
    body = {"error": "temporarily_unavailable", "error_description": str(error)}
    return Reply(503, msgspec.json.encode(body), JSON, refusal=Refusal.UNAVAILABLE)
