"""What a machine says of managed identities that is not Azure's: that it has none.

The one exception to the rule that a dialect that is off answers 404: Azure's default credential
chain asks for an identity on every machine, and repeats a request that is not found for 24 seconds
(contract 0.1-1, 5.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from emulator.core.message import JSON, Reply
from emulator.core.policy import DEFAULTS, Area, RequireHeader
from emulator.core.refusal import Refusal
from emulator.dialects.base import IDENTITY_NOT_FOUND, Dialect, Leaf, Policy, View

_BODY = {"error": "invalid_request", "error_description": IDENTITY_NOT_FOUND}
_NONE = Reply(400, msgspec.json.encode(_BODY), JSON)
_REFUSALS: Mapping[Refusal, Reply] = {
    Refusal.DIALECT_OFF: DEFAULTS[Refusal.DIALECT_OFF],
    Refusal.FOREIGN_HOST: DEFAULTS[Refusal.DIALECT_OFF],
    Refusal.NOT_FOUND: _NONE,
}


def _areas(_policy: Policy) -> tuple[Area, ...]:
    # Who does not say that it wants metadata asks another dialect's question, if any.
    said = RequireHeader("Metadata", "true", Refusal.DIALECT_OFF, any_case=True)
    return (
        Area(
            name="no-identity",
            prefixes=("/metadata/identity",),
            rules=(said,),
            # There is no less to be had, and who asks for it asks again after anything else.
            unlimited=True,
            refusals=_REFUSALS,
        ),
    )


def _leaves(_view: View) -> Iterable[Leaf]:
    return ()


DIALECT = Dialect(
    name="no_identity",
    summary="Azure's default credential chain is told that there is no identity",
    areas=_areas,
    leaves=_leaves,
    always=True,
)
