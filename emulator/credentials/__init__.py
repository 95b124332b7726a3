"""Keys and tokens of the identities that machines have, by the provider of each."""

from emulator.credentials.access import AccessTokens, Sources
from emulator.credentials.service import Credentials

__all__ = ["AccessTokens", "Credentials", "Sources"]
