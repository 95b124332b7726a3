"""ServiceAccount tokens: read from files that others rotate, or issued here for local use."""

from __future__ import annotations

from emulator.tokens.issuer import DEFAULT_ISSUER, KeyStore
from emulator.tokens.service import Tokens

__all__ = ["DEFAULT_ISSUER", "KeyStore", "Tokens"]
