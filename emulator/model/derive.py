"""What nobody wrote, derived so that the same description always gives the same machine.

Nothing here depends on the time, on chance or on other machines: a restart, another host, or a
copy of the description elsewhere gives the same values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID, uuid5

from msgspec.structs import replace

from emulator.model.events import completed
from emulator.model.instance import Instance
from emulator.model.network import AUTOMATIC, Interface

NAMESPACE = UUID("b1f2c1b4-31d4-5c7e-9c57-6d0f7c1c9b3a")
"""Root of all derived identities. Changing it gives every machine a new one: never do."""

_EC2 = re.compile(r"ec2|[0-9a-f]{4}2[0-9a-f]ec-")
"""What a guest takes for EC2's: plain, or with the first group byte-swapped (contract 7.2)."""


def resolved(instance: Instance, locate: Callable[[str], str]) -> Instance:
    """Give the instance with what its own rules refer to: interface names, absolute paths.

    ``locate`` makes a path absolute, from where the description stands. Physical interfaces
    without a name become ``eth0``, ``eth1``, ... in their order.
    """
    peer = instance.peer
    return replace(
        instance,
        interfaces=_named(instance.interfaces),
        tokens=tuple(
            replace(token, file=locate(token.file)) if token.file else token
            for token in instance.tokens
        ),
        peer=replace(peer, socket=locate(peer.socket)) if peer.socket else peer,
    )


def _named(interfaces: tuple[Interface, ...]) -> tuple[Interface, ...]:
    taken = {link.name for link in interfaces}
    links = []
    number = 0
    for link in interfaces:
        if link.name or link.type != "physical":
            links.append(link)
            number += link.type == "physical"
            continue
        while f"eth{number}" in taken:
            number += 1
        taken.add(f"eth{number}")
        links.append(replace(link, name=f"eth{number}"))
        number += 1
    return tuple(links)


def complete(instance: Instance) -> Instance:
    """Give a valid instance with every field filled, each value in its canonical spelling."""
    links = _links(instance.interfaces)
    placement = instance.placement
    peer = instance.peer
    uuid = str(UUID(instance.uuid)) if instance.uuid else _uuid(instance)
    given = peer.addresses or (() if peer.socket else _static(links))
    return replace(
        instance,
        hostname=instance.hostname or _hostname(instance.name),
        uuid=uuid,
        events=tuple(
            completed(event, uuid5(UUID(uuid), f"event {index}").hex[:17])
            for index, event in enumerate(instance.events)
        ),
        project=instance.project or _project(instance.namespace),
        placement=replace(placement, zone=placement.zone or f"{placement.region}a"),
        interfaces=links,
        peer=replace(peer, addresses=tuple(map(_address, given))),
        public_keys=tuple(replace(key, key=key.key.strip()) for key in instance.public_keys),
    )


def looks_like_ec2(uuid: str) -> bool:
    """Say whether a guest that sees ``uuid`` (canonical spelling) in its SMBIOS asks for EC2."""
    return _EC2.match(uuid) is not None


@lru_cache(maxsize=64)  # neighbours share a namespace, and so one text
def _project(namespace: str) -> str:
    return uuid5(NAMESPACE, f"project/{namespace}").hex


def _uuid(instance: Instance) -> str:
    base = f"instance/{instance.namespace}/{instance.name}"
    uuid = str(uuid5(NAMESPACE, base))
    tries = 0
    while looks_like_ec2(uuid):
        tries += 1
        uuid = str(uuid5(NAMESPACE, f"{base}/{tries}"))
    return uuid


def _hostname(name: str) -> str:
    """Make a host name of a name: no '_', no empty parts, and never to be taken for an address."""
    parts = [part.strip("-")[:63].rstrip("-") for part in name.replace("_", "-").split(".")]
    parts = [part for part in parts if part]
    if parts[-1].isdecimal():
        parts = ["vm-" + "-".join(parts)[:60].rstrip("-")]
    return ".".join(parts)


def _links(links: tuple[Interface, ...]) -> tuple[Interface, ...]:
    macs = {link.name: link.mac for link in links}
    carriers = {
        link.name: link.bond.links[0] if link.bond else link.vlan.link if link.vlan else ""
        for link in links
    }
    members = {member for link in links if link.bond for member in link.bond.links}
    done = []
    for link in links:
        name = link.name
        while not macs[name]:
            name = carriers[name]
        addresses = () if link.name in members else link.addresses
        done.append(
            replace(
                link,
                mac=macs[name].lower(),
                addresses=tuple(a if a in AUTOMATIC else _interface(a) for a in addresses),
                gateways=tuple(map(_address, link.gateways)),
                routes=tuple(
                    replace(r, to=str(ipaddress.ip_network(r.to)), via=_address(r.via))
                    for r in link.routes
                ),
                dns=tuple(map(_address, link.dns)),
                public_addresses=tuple(map(_address, link.public_addresses)),
            )
        )
    return tuple(done)


def _static(links: tuple[Interface, ...]) -> tuple[str, ...]:
    return tuple(
        address.partition("/")[0]
        for link in links
        for address in link.addresses
        if address not in AUTOMATIC
    )


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _interface(text: str) -> str:
    return str(ipaddress.ip_interface(text))
