"""Rules for how interfaces stand on each other: bonds on members, VLANs on what carries them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.model.document import quoted
from emulator.model.mistake import Mistake, again
from emulator.model.network import Interface


def links(found: tuple[Interface, ...], written: frozenset[str]) -> Iterator[Mistake]:
    """Check names, members of bonds and carriers of VLANs."""
    named = {link.name: link for link in found if link.name}
    names = [(f"interfaces[{n}].name", link.name) for n, link in enumerate(found) if link.name]
    yield from again(names, "each name once")
    for index, link in enumerate(found):
        path = f"interfaces[{index}]"
        if not link.name:
            yield Mistake(f"{path}.name", "nothing", "a name: bonds and VLANs have no default one")
        if link.bond and link.vlan:
            yield Mistake(f"{path}.vlan", "a bond that is a VLAN", "bond or vlan")
        elif link.bond:
            yield from _bond(path, link.bond.links, named)
        elif link.vlan:
            yield from _vlan(path, link.vlan.link, named)
    yield from _members(found, written)


def _bond(
    path: str, members: tuple[str, ...], named: Mapping[str, Interface]
) -> Iterator[Mistake]:
    physical = [name for name, link in named.items() if link.type == "physical"]
    for index, member in enumerate(members):
        if member not in physical:
            allowed = f"a physical interface: {', '.join(physical) or 'none is described'}"
            yield Mistake.at(f"{path}.bond.links[{index}]", member, allowed)


def _vlan(path: str, carrier: str, named: Mapping[str, Interface]) -> Iterator[Mistake]:
    if carrier not in named:
        others = ", ".join(name for name in named) or "none is described"
        yield Mistake.at(f"{path}.vlan.link", carrier, f"another interface: {others}")
        return
    seen = []
    while carrier not in seen and carrier in named:
        seen.append(carrier)
        vlan = named[carrier].vlan
        carrier = vlan.link if vlan else ""
    if carrier in seen:
        found = f"the circle {' on '.join([*seen, carrier])}"
        yield Mistake(f"{path}.vlan.link", found, "a chain that ends at a bond or physical link")


def _members(found: tuple[Interface, ...], written: frozenset[str]) -> Iterator[Mistake]:
    members = [
        (f"interfaces[{n}].bond.links[{at}]", member)
        for n, link in enumerate(found)
        for at, member in enumerate(link.bond.links if link.bond else ())
    ]
    yield from again(members, "each interface in one bond, once")
    bonds = {member: path for path, member in members}
    for index, link in enumerate(found):
        if link.name not in bonds:
            continue
        for field in ("addresses", "gateways", "routes"):
            path = f"interfaces[{index}].{field}"
            if path in written and getattr(link, field):
                owner = f"{field} of the bond member {quoted(link.name)}"
                yield Mistake(path, owner, "none here: give them to the bond")
