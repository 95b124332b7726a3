"""What Azure would have from its own databases, worked out from what is described."""

from __future__ import annotations

from base64 import b64encode
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from emulator.dialects.azure.section import Azure
from emulator.model.accounts import AzureIdentity
from emulator.model.derive import NAMESPACE
from emulator.model.instance import Instance
from emulator.model.links import METHODS, Card, cards

# By IP version: the prefix of a subnet that nobody described, as cloud-init has it too, and from
# how many addresses on there must be one. It reads the first subnet for each further address.
_UNKNOWN = {4: (24, 1), 6: (128, 2)}


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of one IP version on an interface, and the subnets that they are in."""

    addresses: tuple[str, ...]
    subnets: tuple[tuple[str, int], ...]


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface in Azure's words; ``public`` has one text for each IPv4 address."""

    mac: str
    ipv4: Family
    ipv6: Family
    public: tuple[str, ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in Azure's words; ``provider`` is where the ids of its resources begin."""

    subscription_id: str
    resource_group: str
    provider: str
    resource_id: str
    tenant_id: str
    zone: str
    physical_zone: str
    offer: str
    tags: tuple[tuple[str, str], ...]
    user_data: str
    nics: tuple[Nic, ...]
    identities: tuple[AzureIdentity, ...]


def facts(instance: Instance, section: Azure) -> Facts:
    """Give the facts of ``instance``."""
    subscription = section.subscription_id.lower() or _uuid(f"subscription/{instance.project}")
    group = section.resource_group or instance.namespace
    tenant = section.tenant_id.lower() or _uuid(f"tenant/{instance.project}")
    provider = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"
    zone = section.zone or instance.placement.zone
    data = instance.user_data.data if instance.user_data is not None else b""
    return Facts(
        subscription_id=subscription,
        resource_group=group,
        provider=provider,
        resource_id=f"{provider}/virtualMachines/{instance.name}",
        tenant_id=tenant,
        zone=zone,
        physical_zone=section.physical_zone or _physical(instance.placement.region, zone),
        offer=section.offer or instance.image,
        tags=tuple(instance.tags.items()),
        user_data=b64encode(data).decode(),
        nics=tuple(_nic(card, instance) for card in cards(instance)),
        identities=tuple(_identity(one, instance, tenant) for one in section.identities),
    )


def _physical(region: str, zone: str) -> str:
    """Give the physical zone of a logical one, which may bear its region's name already."""
    return zone if zone.startswith(region) else f"{region}-{zone}"


def _nic(card: Card, instance: Instance) -> Nic:
    public = [text for text in card.interface.public_addresses if ":" not in text]
    ipv4 = _family(card, instance, 4)
    return Nic(
        mac=card.interface.mac.replace(":", "").upper(),
        ipv4=ipv4,
        ipv6=_family(card, instance, 6),
        public=(*public, *[""] * len(ipv4.addresses))[: len(ipv4.addresses)],
    )


def _family(card: Card, instance: Instance, version: int) -> Family:
    addresses = card.locals(version, instance)
    words = {text for link in card.bearers for text in link.addresses}
    if not addresses and any(METHODS.get(word) == version for word in words):
        # Nobody said which address it gets. cloud-init leaves a card alone that has none.
        addresses = ("",)
    networks = dict.fromkeys(host.network for host in card.hosts(version))
    subnets = tuple((str(net.network_address), net.prefixlen) for net in networks)
    prefix, least = _UNKNOWN[version]
    if not subnets and len(addresses) >= least:
        subnets = (("", prefix),)
    return Family(addresses=addresses, subnets=subnets)


def _identity(identity: AzureIdentity, instance: Instance, tenant: str) -> AzureIdentity:
    """Give an identity with all its ids: its own resource's, or the machine's."""
    owner = identity.resource_id.lower() or instance.uuid
    return replace(
        identity,
        client_id=identity.client_id.lower() or _uuid(f"client/{owner}"),
        object_id=identity.object_id.lower() or _uuid(f"object/{owner}"),
        tenant_id=identity.tenant_id.lower() or tenant,
    )


def event_id(instance: Instance, name: str) -> str:
    """Give the id of an event as Azure spells it; a name that is a UUID stays that."""
    try:
        return str(UUID(name)).upper()
    except ValueError:
        return str(uuid5(UUID(instance.uuid), f"event {name}")).upper()


def _uuid(seed: str) -> str:
    return str(uuid5(NAMESPACE, f"azure/{seed}"))
