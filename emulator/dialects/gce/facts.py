"""What Google would have from its own databases, worked out from what is described."""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_interface

import msgspec
from msgspec.structs import replace

from emulator.dialects.gce.attributes import attributes
from emulator.dialects.gce.section import Gce
from emulator.model.accounts import GoogleAccount
from emulator.model.instance import Instance
from emulator.model.links import Card, cards

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_MTU = 1460
_DNS = "169.254.169.254"


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface in Google's words; texts are empty where nobody said."""

    mac: str
    ip: str
    gateway: str
    subnetmask: str
    mtu: int
    dns: tuple[str, ...]
    external: tuple[str, ...]
    ipv6s: tuple[str, ...]
    gateway_ipv6: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in Google's words."""

    id: int
    project_id: str
    project_number: int
    zone: str
    region: str
    machine_type: str
    network: str
    attributes: dict[str, str]
    accounts: dict[str, GoogleAccount]
    nics: tuple[Nic, ...]


def facts(instance: Instance, section: Gce) -> Facts:
    """Give the facts of ``instance``."""
    project = section.project_id or _project_id(instance.project)
    number = section.numeric_project_id or _number(f"project/{instance.project}", 10**12)
    place = f"projects/{number}"
    return Facts(
        id=section.id or _number(f"instance/{instance.uuid}", 2**63),
        project_id=project,
        project_number=number,
        zone=f"{place}/zones/{instance.placement.zone}",
        region=f"{place}/regions/{instance.placement.region}",
        machine_type=f"{place}/machineTypes/{instance.type}",
        network=f"{place}/networks/{section.network}",
        attributes=attributes(instance, section),
        accounts=_accounts(section, number),
        nics=tuple(_nic(card, instance) for card in cards(instance)),
    )


def _accounts(section: Gce, number: int) -> dict[str, GoogleAccount]:
    """Give the service accounts by address, the default one first."""
    found: dict[str, GoogleAccount] = {}
    for index, account in enumerate(section.service_accounts):
        host = "developer.gserviceaccount.com"
        name = "compute" if index == 0 else f"account{index}"
        email = account.email or f"{number}-{name}@{host}"
        aliases = account.aliases if index else ("default", *account.aliases)
        named = replace(account, email=email, aliases=tuple(dict.fromkeys(aliases)))
        found.setdefault(email, named)
    return found


def _nic(card: Card, instance: Instance) -> Nic:
    first = card.hosts(4)[:1]
    gateways = [text for link in card.bearers for text in link.gateways]
    return Nic(
        mac=card.interface.mac,
        ip=card.local(4, instance),
        gateway=next((text for text in gateways if ":" not in text), ""),
        subnetmask=str(first[0].network.netmask) if first else "",
        mtu=card.interface.mtu or _MTU,
        dns=tuple(text for link in card.bearers for text in link.dns) or (_DNS,),
        external=tuple(
            text
            for text in card.interface.public_addresses
            if ip_interface(text).version == 4  # noqa: PLR2004
        ),
        ipv6s=tuple(str(host.ip) for host in card.hosts(6)),
        gateway_ipv6=next((text for text in gateways if ":" in text), ""),
    )


def subject(email: str) -> str:
    """Give the number by which Google knows the account ``email``, 21 digits."""
    return str(_number(f"account/{email}", 10**21))


def _project_id(project: str) -> str:
    if _PROJECT.fullmatch(project):
        return project
    return f"project-{hashlib.sha256(project.encode()).hexdigest()[:12]}"


def _number(seed: str, limit: int) -> int:
    """Give a number from a tenth of ``limit`` up to it."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16])
    least = limit // 10
    return least + number % (limit - least)
