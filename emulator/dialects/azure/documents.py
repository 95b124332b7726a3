"""The documents of Azure's services; loaded for machines that have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from emulator.core.policy import Document
from emulator.dialects.azure import wireserver
from emulator.dialects.azure.attested import AttestedDocument
from emulator.dialects.azure.balancer import Balancer
from emulator.dialects.azure.errors import JSON
from emulator.dialects.azure.events import Scheduled
from emulator.dialects.azure.facts import Facts, facts
from emulator.dialects.azure.identity import InfoDocument, TokenDocument
from emulator.dialects.azure.names import (
    ATTESTED,
    BALANCER,
    EVENTS,
    IDENTITY,
    INSTANCE,
    MACHINE,
    ROOT,
    VERSIONS,
    WIRE,
)
from emulator.dialects.azure.pages import AzurePages
from emulator.dialects.azure.section import Azure
from emulator.dialects.base import Leaf, View
from emulator.model.instance import Instance

_PARTS: Mapping[str, Document] = {
    "compute/customData": "user-data",
    "compute/publicKeys": "keys",
    "compute/userData": "user-data",
    "network": "network",
}


def leaves(view: View) -> Iterator[Leaf]:
    """Give the documents of a machine."""
    instance, section = view.instance, view.section or Azure()
    known = facts(instance, section)
    yield Leaf(
        paths=(f"{ROOT}/versions",),
        area="azure",
        body=msgspec.json.encode({"apiVersions": VERSIONS}),
        type=JSON,
        document="listing",
    )
    yield Leaf(
        paths=(INSTANCE,),
        area="azure-instance",
        template="instance.json",
        pages=AzurePages,
        variables={
            "facts": known,
            "section": section,
            "keys": [key.key for key in instance.public_keys if key.type == "ssh"],
            "tags": [f"{name}:{value}" for name, value in known.tags],
        },
        parts=_PARTS,
    )
    attested = AttestedDocument(_attested(instance, section, known))
    yield Leaf(paths=(ATTESTED,), area="azure-attested", live=attested)
    if section.load_balancer is not None:
        yield Leaf(
            paths=(BALANCER,),
            area="azure-loadbalancer",
            live=Balancer.of(section.load_balancer, known),
        )
    yield Leaf(paths=(EVENTS,), area="azure-events", live=Scheduled(instance, view.occurrences))
    token = TokenDocument(known.identities)
    yield Leaf(paths=(f"{IDENTITY}/oauth2/token",), area="azure-identity", live=token)
    info = InfoDocument(known.tenant_id if known.identities else "")
    path = f"{IDENTITY}/info"
    yield Leaf(paths=(path,), area="azure-identity", live=info, document="identity")
    yield Leaf(paths=(f"{WIRE}/",), area="azure-wire-versions", live=wireserver.VERSIONS)
    goal = wireserver.goal(instance.uuid)
    yield Leaf(paths=(MACHINE,), area="azure-wire", live=goal, document="meta-data")


def _attested(instance: Instance, section: Azure, known: Facts) -> dict[str, object]:
    """Give what the signed document says of the machine."""
    plan = section.plan
    return {
        "licenseType": section.license_type,
        "plan": {"name": plan.name, "product": plan.product, "publisher": plan.publisher},
        "sku": section.sku,
        "subscriptionId": known.subscription_id,
        "vmId": instance.uuid,
    }
