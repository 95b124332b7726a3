"""Managed identities: their access tokens, and which directory they are in (contract 5.6)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from msgspec.structs import replace

from emulator.core.message import Done, Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.dialects.azure.errors import JSON, NO_IDENTITY, invalid
from emulator.dialects.azure.names import VERSIONS
from emulator.dialects.azure.query import versioned
from emulator.errors import CredentialsUnavailable
from emulator.model.accounts import AzureIdentity

# Those of the instance, and what Azure's App Service and Arc speak, whose clients ask here too.
_VERSIONS = frozenset({*VERSIONS, "2017-09-01", "2020-06-01", "2021-12-01"})

# Characters of a resource: the guest chooses it, the server keeps, signs and sends it.
_MOST = 1024

_BAD_REQUEST = invalid(
    "invalid_request", "The api-version is missing or not supported, or a parameter is repeated"
)
_NO_RESOURCE = invalid("invalid_request", "Required query variable 'resource' is missing")
_LONG = invalid("invalid_resource", "The resource has more than 1024 characters")
_MANY = invalid(
    "invalid_request",
    "Multiple user assigned identities exist, please specify the clientId / resourceId of the "
    "identity in the token request",
)
_ANOTHER = replace(NO_IDENTITY, refusal=Refusal.UNKNOWN_IDENTITY)
_SELECTORS: Mapping[str, str] = {
    "client_id": "client_id",
    "object_id": "object_id",
    "principal_id": "object_id",
    "msi_res_id": "resource_id",
    "mi_res_id": "resource_id",
}
"""Which id of an identity a parameter names."""


class TokenDocument(msgspec.Struct, frozen=True):
    """Gives tokens of the machine's ``identities``."""

    identities: tuple[AzureIdentity, ...]

    async def __call__(self, request: Request, services: Services) -> Done:
        """Give one for the ``resource`` that is asked for."""
        asked = _asked(request)
        if isinstance(asked, Reply):
            return asked
        resource = asked.get("resource", "")
        if not resource or len(resource) > _MOST:
            return _LONG if resource else _NO_RESOURCE
        identity = self._chosen(asked)
        if isinstance(identity, Reply):
            return identity
        try:
            found = await services.access_token(identity, resource)
        except CredentialsUnavailable as error:
            return _failed(error)
        lives = max(0, int(found.expires - services.ports.wall()))
        document = {
            "access_token": found.token,
            "client_id": identity.client_id,
            "expires_in": str(lives),
            "expires_on": str(int(found.expires)),
            "ext_expires_in": str(lives),
            "not_before": str(int(found.updated)),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Reply(200, msgspec.json.encode(document), JSON)

    def _chosen(self, asked: Mapping[str, str]) -> AzureIdentity | Reply:
        """Find the identity that is named; else the system's, or the only one there is."""
        for parameter, field in _SELECTORS.items():
            wanted = asked.get(parameter, "").lower()
            if wanted:
                named = [one for one in self.identities if getattr(one, field).lower() == wanted]
                return named[0] if named else _ANOTHER
        own = [one for one in self.identities if not one.resource_id]
        found = own or list(self.identities)
        if not found:
            return NO_IDENTITY
        return found[0] if own or len(found) == 1 else _MANY


class InfoDocument(msgspec.Struct, frozen=True):
    """Tells the directory of the machine's identities, empty if it has none."""

    tenant: str

    def __call__(self, request: Request, _services: Services) -> Done:
        """Give it."""
        asked = _asked(request)
        if isinstance(asked, Reply):
            return asked
        if not self.tenant:
            return NO_IDENTITY
        return Reply(200, msgspec.json.encode({"tenantId": self.tenant}), JSON)


def _asked(request: Request) -> Mapping[str, str] | Reply:
    asked = versioned(request.query, _VERSIONS)
    if isinstance(asked, Reply):
        return _BAD_REQUEST
    return asked


def _failed(error: CredentialsUnavailable) -> Reply:
    """Refuse for good what was refused, and let the rest be asked again: clients repeat a 500.

    Who asks for too much at once is told so (contract 9.2).
    """
    if error.code == "Throttled":
        busy = invalid("too_many_requests", str(error), HTTPStatus.TOO_MANY_REQUESTS)
        return replace(busy, headers=(("Retry-After", "1"),), refusal=Refusal.THROTTLED)
    if error.code == "Refused":
        return invalid("unauthorized_client", str(error))
    return invalid("unknown", str(error), HTTPStatus.INTERNAL_SERVER_ERROR)
