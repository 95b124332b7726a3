"""The mistakes that only EC2 can find in a description."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from emulator.dialects.ec2.section import Ec2
from emulator.model import credentials
from emulator.model.instance import Instance
from emulator.model.mistake import Mistake


def mistakes(instance: Instance) -> Iterator[Mistake]:
    """Give the mistakes in the ``ec2:`` section of ``instance``."""
    section = instance.sections.get("ec2")
    if not isinstance(section, Ec2):
        return
    yield from _interfaces(instance, section)
    yield from _networks(section)
    yield from credentials.mistakes(
        section.credentials,
        {token.audience for token in instance.tokens},
        instance.placement.region,
        "ec2.credentials",
    )


def _interfaces(instance: Instance, section: Ec2) -> Iterator[Mistake]:
    cards = [link for link in instance.interfaces if link.type == "physical"]
    known = {link.name for link in cards} | {link.mac.lower() for link in cards}
    for key in section.interfaces:
        if key.lower() not in known:
            allowed = "the name or MAC address of a physical interface"
            yield Mistake.at(f"ec2.interfaces.{key}", key, allowed)


def _networks(section: Ec2) -> Iterator[Mistake]:
    lists = {
        "ec2.vpc.ipv4_cidr_blocks": (section.vpc.ipv4_cidr_blocks, 4),
        "ec2.vpc.ipv6_cidr_blocks": (section.vpc.ipv6_cidr_blocks, 6),
    }
    for name, more in section.interfaces.items():
        lists[f"ec2.interfaces.{name}.ipv4_prefixes"] = (more.ipv4_prefixes, 4)
        lists[f"ec2.interfaces.{name}.ipv6_prefixes"] = (more.ipv6_prefixes, 6)
    for path, (texts, version) in lists.items():
        for index, text in enumerate(texts):
            if not _is_network(text, version):
                allowed = f"an IPv{version} network without host bits"
                yield Mistake.at(f"{path}[{index}]", text, allowed)


def _is_network(text: str, version: int) -> bool:
    try:
        return ip_network(text).version == version
    except ValueError:
        return False
