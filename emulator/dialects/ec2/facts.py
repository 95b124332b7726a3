"""What EC2 would have from its own databases, worked out from what is described.

All of it is a pure function of the description: the same machine has the same ids everywhere, and
two machines of one project in one network are in the same VPC and subnet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from ipaddress import ip_interface, ip_network

import msgspec

from emulator.dialects.ec2.section import Ec2, Ec2Interface
from emulator.model.instance import Instance
from emulator.model.links import Card, Host, cards, local_addresses, public_addresses

_ID_DIGITS = 17

# The widest networks that a VPC may have, and an address's VPC when nobody names it.
_VPC_PREFIX = {4: 16, 6: 56}

# What EC2 allows in the key of a tag that the guest may read (contract 3.2).
_TAG_KEY = re.compile(r"[A-Za-z0-9+\-=.,_:@]+")


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface in EC2's words; empty texts and tuples are absent."""

    mac: str
    device_number: int
    interface_id: str
    subnet_id: str
    network_card: int | None
    local_ipv4s: tuple[str, ...]
    ipv6s: tuple[str, ...]
    public_ipv4s: tuple[str, ...]
    public_hostname: str
    subnet_ipv4: str
    subnet_ipv6: tuple[str, ...]
    vpc_ipv4: tuple[str, ...]
    vpc_ipv6: tuple[str, ...]
    ipv4_prefixes: tuple[str, ...]
    ipv6_prefixes: tuple[str, ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in EC2's words; empty texts and tuples are absent."""

    instance_id: str
    image_id: str
    reservation_id: str
    account_id: str
    zone: str
    zone_id: str
    domain: str
    partition: str
    local_ipv4: str
    public_ipv4: str
    ipv6: str
    mac: str
    public_hostname: str
    vpc_id: str
    security_group_ids: tuple[str, ...]
    nics: tuple[Nic, ...]
    tags: dict[str, str]
    profile_arn: str
    profile_id: str


def facts(instance: Instance, section: Ec2) -> Facts:
    """Give the facts of ``instance``."""
    region = instance.placement.region
    zone = section.placement.availability_zone or instance.placement.zone
    partition, domain = _cloud(region)
    vpc_id = section.vpc.id or _id("vpc", instance.project, region)
    domain = section.domain or domain
    nics = _Nics(instance, section, vpc_id, domain).all()
    public = public_addresses(instance, 4)[:1]
    account = section.account_id or _digits(f"account/{instance.project}", 12)
    found = Facts(
        instance_id=section.instance_id or _id("i", instance.uuid),
        image_id=section.image_id or image_id(instance.image),
        reservation_id=section.reservation_id or _id("r", instance.uuid),
        account_id=account,
        zone=zone,
        zone_id=section.placement.availability_zone_id or _zone_id(region, zone),
        domain=domain,
        partition=section.partition or partition,
        local_ipv4="".join(local_addresses(instance, 4)[:1]),
        public_ipv4="".join(public),
        ipv6="".join(local_addresses(instance, 6)[:1]),
        mac=nics[0].mac if nics else "",
        public_hostname=section.public_hostname or _public_hostname(public, region, domain),
        vpc_id=vpc_id,
        security_group_ids=section.security_group_ids
        or tuple(_id("sg", instance.project, name) for name in instance.security_groups),
        nics=nics,
        tags={key: value for key, value in instance.tags.items() if readable(key)},
        profile_arn="",
        profile_id="",
    )
    return _with_profile(found, section)


def image_id(image: str) -> str:
    """Give the id of an image: its name if that is one, else derived from it."""
    return image if re.fullmatch(r"ami-[0-9a-f]{8,17}", image) else _id("ami", image)


def readable(key: str) -> bool:
    """Say whether a guest may read the tag ``key``.

    It has to fit into a path, and must not look like a public key in its listing, where cloud-init
    asks for ``5/openssh-key`` when it reads ``5=x``.
    """
    number, labelled, _ = key.partition("=")
    fits = _TAG_KEY.fullmatch(key) is not None and key not in {".", ".."}
    return fits and not (labelled and re.fullmatch(r"[+-]?[0-9_]+", number))


def _with_profile(found: Facts, section: Ec2) -> Facts:
    """Add the instance profile: named like the role, as those that the console makes are."""
    wanted = section.credentials
    if not wanted.role:
        return found
    account = wanted.role_arn.split(":")[4] if wanted.role_arn else found.account_id
    arn = f"arn:{found.partition}:iam::{account}:instance-profile/{wanted.role}"
    unique = "AIPA" + _base32(f"profile/{arn}", 17)
    return msgspec.structs.replace(found, profile_arn=arn, profile_id=unique)


class _Nics:
    """The interfaces of one machine: a bond is the cards that it is made of."""

    def __init__(self, instance: Instance, section: Ec2, vpc_id: str, domain: str) -> None:
        self._instance = instance
        self._section = section
        self._vpc_id = vpc_id
        self._domain = domain

    def all(self) -> tuple[Nic, ...]:
        """Give them in the order of the description."""
        return tuple(self._nic(card) for card in cards(self._instance))

    def _nic(self, card: Card) -> Nic:
        section, link = self._section, card.interface
        more = section.interfaces.get(link.name) or section.interfaces.get(link.mac)
        more = more or Ec2Interface()
        subnets = {version: _subnets(card.hosts(version)) for version in (4, 6)}
        network = next(iter(subnets[4] or subnets[6]), "")
        public = _of(link.public_addresses, 4)
        return Nic(
            mac=link.mac,
            device_number=card.number,
            interface_id=more.interface_id or _id("eni", link.mac),
            subnet_id=more.subnet_id or _id("subnet", self._vpc_id, network),
            network_card=None if more.network_card < 0 else more.network_card,
            local_ipv4s=card.locals(4, self._instance),
            ipv6s=tuple(str(host.ip) for host in card.hosts(6)),
            public_ipv4s=public,
            public_hostname=_public_hostname(
                public, self._instance.placement.region, self._domain
            ),
            subnet_ipv4=next(iter(subnets[4]), ""),
            subnet_ipv6=subnets[6],
            vpc_ipv4=section.vpc.ipv4_cidr_blocks or _around(subnets[4]),
            vpc_ipv6=section.vpc.ipv6_cidr_blocks or _around(subnets[6]),
            ipv4_prefixes=more.ipv4_prefixes,
            ipv6_prefixes=more.ipv6_prefixes,
        )


def _of(addresses: Iterable[str], version: int) -> tuple[str, ...]:
    return tuple(text for text in addresses if ip_interface(text).version == version)


def _subnets(hosts: Iterable[Host]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(host.network) for host in hosts))


def _around(subnets: tuple[str, ...]) -> tuple[str, ...]:
    """Give the VPC's network around each subnet; a wider subnet is its own."""
    found = []
    for text in subnets:
        network = ip_network(text)
        length = min(_VPC_PREFIX[network.version], network.prefixlen)
        found.append(str(network.supernet(new_prefix=length)))
    return tuple(dict.fromkeys(found))


def _public_hostname(public: tuple[str, ...], region: str, domain: str) -> str:
    if not public:
        return ""
    dashed = public[0].replace(".", "-")
    # The first region is older than the others' scheme.
    place = "compute-1" if region == "us-east-1" else f"{region}.compute"
    return f"ec2-{dashed}.{place}.{domain}"


def _cloud(region: str) -> tuple[str, str]:
    """Give the partition and domain that a region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn", "amazonaws.com.cn"
    return ("aws-us-gov" if region.startswith("us-gov-") else "aws"), "amazonaws.com"


def _zone_id(region: str, zone: str) -> str:
    """Give an id as EC2 forms them: ``use1-az2`` for ``us-east-1b``."""
    first, *rest = region.split("-")
    short = first + "".join(part if part.isdecimal() else part[:1] for part in rest)
    letter = zone[-1:].lower()
    number = ord(letter) - ord("a") + 1 if "a" <= letter <= "z" else 1
    return f"{short}-az{number}"


def _id(kind: str, *seeds: str) -> str:
    digest = hashlib.sha256("/".join((kind, *seeds)).encode()).hexdigest()
    return f"{kind}-{digest[:_ID_DIGITS]}"


def _digits(seed: str, count: int) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    # Not in front: an account that begins with a nought becomes a number in too many tools.
    return f"{1 + number % 9}{number // 9 % 10 ** (count - 1):0{count - 1}}"


def _base32(seed: str, count: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(letters[byte % len(letters)] for byte in digest[:count])
