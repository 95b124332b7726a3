"""What a service account gives when it is asked: access tokens, and its signed identity."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from emulator.core.message import JSON, Done, Reply, Request, Services
from emulator.core.paths import parameters
from emulator.core.refusal import Refusal
from emulator.errors import CredentialsUnavailable
from emulator.model.accounts import GoogleAccount

ISSUER = "https://accounts.google.com"

# Any scope of Google's cloud is part of the first one; the others only say who the account is.
_WIDE = "https://www.googleapis.com/auth/cloud-platform"
_HARMLESS = frozenset({"openid", "https://www.googleapis.com/auth/userinfo.email"})

# Characters of what a guest chooses: the server keeps, signs and sends it.
_MOST_SCOPES = 2048
_MOST_AUDIENCE = 1024

_HTML = "text/html"
_LIFETIME = 3600
_NO_AUDIENCE = Reply(
    400, b"non-empty audience parameter required\n", _HTML, refusal=Refusal.BAD_QUERY
)


class AccessTokenDocument(msgspec.Struct, frozen=True):
    """Gives access tokens of ``account`` (contract 4.4)."""

    account: GoogleAccount

    async def __call__(self, request: Request, services: Services) -> Done:
        """Give one for the ``scopes`` that are asked for, all of the account's without any.

        What the account has not been given is not given: then, too, it is all that it has, for
        Compute Engine ignores what is asked (google-auth-library-python, pull request 633).
        """
        wanted = self._scopes(request)
        if isinstance(wanted, Refusal):
            return wanted
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

    def _scopes(self, request: Request) -> str | Refusal:
        """Give them in one order, whichever they were asked for in: they name what is kept."""
        own = frozenset(self.account.scopes)
        text = ",".join(_parameters(request, "scopes"))
        # google-auth asks for all of the account's, however long they are.
        if len(text) > max(_MOST_SCOPES, len(",".join(self.account.scopes))):
            return Refusal.BAD_QUERY
        asked = frozenset(text.replace(",", " ").split())
        granted = _WIDE in own or asked <= own | _HARMLESS
        return ",".join(sorted(asked if asked and granted else own))


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
        if len(audience) > _MOST_AUDIENCE:
            return Refusal.BAD_QUERY
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
    return _parameters(request, name)[0]


def _parameters(request: Request, name: str) -> list[str]:
    """Give all values of a query's parameter, an empty one if it has none."""
    found = [value for key, value in parameters(request.query) if key == name]
    return found or [""]


def _unavailable(error: CredentialsUnavailable) -> Reply:
    """Refuse as a service that google-auth and Go ask again."""
    body = {"error": "temporarily_unavailable", "error_description": str(error)}
    refusal = Refusal.THROTTLED if error.code == "Throttled" else Refusal.UNAVAILABLE
    return Reply(503, msgspec.json.encode(body), JSON, (("Retry-After", "1"),), refusal)
