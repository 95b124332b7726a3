"""Azure's metadata service: instance, identities, attested data, events, and the wireserver.

Specified by contract 5. All versions of a document that are known serve the newest one.
"""

from __future__ import annotations

from emulator.core.policy import Area, ForbidHeader, RequireHeader, Rule
from emulator.core.refusal import Refusal
from emulator.dialects.azure.errors import IDENTITIES, METADATA, error
from emulator.dialects.azure.names import (
    ATTESTED,
    BALANCER,
    DOOR,
    EVENTS,
    EXTENDED,
    IDENTITY,
    INSTANCE,
    ROOT,
    WIRE,
    WIRE_ADDRESS,
)
from emulator.dialects.azure.section import Azure
from emulator.dialects.base import Dialect, Hint, Policy, later

_RULES: tuple[Rule, ...] = (
    RequireHeader("Metadata", "true", any_case=True),
    ForbidHeader("X-Forwarded-For"),
)
_POST = ("GET", "HEAD", "POST")
_VERSION = "api-version=2021-02-01"
_NO_BALANCER = error(
    "No load balancer metadata is found. Check if your virtual machine is using any nonbasic SKU "
    "load balancer and retry later.",
    404,
    Refusal.NOT_FOUND,
)


def _areas(_policy: Policy) -> tuple[Area, ...]:
    return (
        Area(name="azure", prefixes=(ROOT,), rules=_RULES, refusals=METADATA),
        Area(
            name="azure-instance",
            prefixes=(INSTANCE,),
            rules=_RULES,
            refusals=METADATA,
            query=f"{_VERSION}&format=text",
        ),
        Area(
            name="azure-extended",
            prefixes=(EXTENDED,),
            rules=_RULES,
            refusals=METADATA,
            query=f"{_VERSION}&format=text&extended=true",
        ),
        Area(
            name="azure-attested",
            document="identity",
            prefixes=(ATTESTED,),
            rules=_RULES,
            refusals=METADATA,
            query=_VERSION,
        ),
        Area(
            name="azure-loadbalancer",
            document="network",
            prefixes=(BALANCER,),
            rules=_RULES,
            refusals={**METADATA, Refusal.NOT_FOUND: _NO_BALANCER},
            query=_VERSION,
        ),
        Area(
            name="azure-events",
            document="events",
            prefixes=(EVENTS,),
            rules=_RULES,
            methods=_POST,
            refusals=METADATA,
            writes=later("emulator.dialects.azure.events", "approve"),
            query="api-version=2020-07-01",
        ),
        Area(
            name="azure-identity",
            document="token",
            prefixes=(IDENTITY,),
            rules=_RULES,
            refusals=IDENTITIES,
            query="api-version=2018-02-01&resource=https://management.azure.com/",
        ),
        Area(
            name="azure-wire",
            document="attributes",
            prefixes=(WIRE,),
            methods=_POST,
            writes=later("emulator.dialects.azure.wireserver", "report"),
            query="comp=goalstate",
        ),
        Area(name="azure-wire-versions", query="comp=versions", document="listing"),
    )


DIALECT = Dialect(
    name="azure",
    summary="Azure's metadata service with managed identities, and a small wireserver",
    areas=_areas,
    leaves=later("emulator.dialects.azure.documents", "leaves"),
    section=Azure,
    rules=later("emulator.dialects.azure.rules", "mistakes"),
    hint=Hint(asset="7783-7084-3265-9085-8269-3286-77"),
    replaces=("no_identity",),
    doors={DOOR: WIRE_ADDRESS},
    example=f"{INSTANCE}/compute/name?{_VERSION}&format=text",
)
