"""Temporary keys and tokens, as every provider gives them."""

from __future__ import annotations

import msgspec


class RoleCredentials(msgspec.Struct, frozen=True):
    """An access key of a role; ``updated`` and ``expires`` are seconds since the epoch.

    ``token`` is empty for a key that needs none, ``account`` if nobody said whose it is.
    """

    access_key_id: str
    secret_access_key: str
    token: str
    updated: float
    expires: float
    account: str = ""

    def __repr__(self) -> str:
        """Keep all of it out of logs and tracebacks."""
        return "RoleCredentials(...)"


class AccessToken(msgspec.Struct, frozen=True):
    """A bearer token; ``updated`` and ``expires`` are seconds since the epoch."""

    token: str
    updated: float
    expires: float

    def __repr__(self) -> str:
        """Keep the token out of logs and tracebacks."""
        return f"AccessToken(..., expires={self.expires})"
