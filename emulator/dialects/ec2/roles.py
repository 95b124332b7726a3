"""The documents about a role: its credentials, and the profile that carries it (contract 3.5)."""

from __future__ import annotations

import datetime as dt

import msgspec
from msgspec.structs import replace

from emulator.core.credentials import RoleCredentials
from emulator.core.message import Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.errors import CredentialsUnavailable
from emulator.model.credentials import AwsCredentials

_PLAIN = "text/plain"


class RoleDocument(msgspec.Struct, frozen=True):
    """Gives the credentials that ``wanted`` describes, fresh whenever they are asked for."""

    wanted: AwsCredentials
    account: str = ""

    async def __call__(self, _request: Request, services: Services) -> Reply:
        """Give them; where they cannot be had, the document says why in its ``Code``."""
        try:
            found = await services.credentials(self.wanted)
        except CredentialsUnavailable as error:
            return _failed(error, services)
        document = {
            "Code": "Success",
            "LastUpdated": _time(found.updated),
            "Type": "AWS-HMAC",
            "AccessKeyId": found.access_key_id,
            "SecretAccessKey": found.secret_access_key,
            "Token": found.token,
            "Expiration": _time(found.expires),
        }
        account = found.account or self.account
        return _json(document | ({"AccountId": account} if account else {}))


class InfoDocument(msgspec.Struct, frozen=True):
    """Gives ``facts`` about the credentials that ``wanted`` describes, and when they were new."""

    wanted: AwsCredentials
    facts: tuple[tuple[str, str], ...]

    async def __call__(self, _request: Request, services: Services) -> Reply:
        """Give them; where there are no credentials, say why."""
        try:
            found: RoleCredentials = await services.credentials(self.wanted)
        except CredentialsUnavailable as error:
            return _failed(error, services)
        updated = {"Code": "Success", "LastUpdated": _time(found.updated)}
        return _json(updated | dict(self.facts))


def _failed(error: CredentialsUnavailable, services: Services) -> Reply:
    now = _time(services.ports.wall())
    document = {"Code": error.code, "Message": str(error), "LastUpdated": now}
    return replace(_json(document), refusal=Refusal.UNAVAILABLE)


def _json(document: dict[str, str]) -> Reply:
    body = msgspec.json.format(msgspec.json.encode(document), indent=2)
    return Reply(200, body, _PLAIN)


def _time(seconds: float) -> str:
    """Write a time as botocore and Go read it, to the second (contract 3.5)."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
