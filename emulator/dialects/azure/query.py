"""What a guest asks of Azure's services beside a path (contract 5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.core.message import Reply
from emulator.core.paths import parameters
from emulator.dialects.azure.errors import bad_version, error
from emulator.dialects.azure.names import VERSIONS

_KNOWN = frozenset(VERSIONS)
_TWICE = error("Bad request. A query parameter is given more than once")


def parse(query: str) -> Mapping[str, str] | Reply:
    """Give the parameters by their names in lower case, as any case will do; refuse one twice."""
    found: dict[str, str] = {}
    for name, value in parameters(query):
        if name.lower() in found:
            return _TWICE
        found[name.lower()] = value
    return found


def versioned(query: str, known: frozenset[str] = _KNOWN) -> Mapping[str, str] | Reply:
    """Give the parameters of a query whose ``api-version`` is ``known``; refuse any other."""
    found = parse(query)
    if isinstance(found, Reply):
        return found
    return found if found.get("api-version") in known else bad_version(known)
