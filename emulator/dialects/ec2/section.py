"""What only EC2 has a word for, as the ``ec2:`` section of a description."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from emulator.dialects.base import SessionPolicy
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Label, Text
from emulator.model.network import Value

_HEX = "8 or 17 lower-case hex digits"

Account = Annotated[str, Meta(pattern=r"^([0-9]{12})?$", extra={"allowed": "12 digits"})]
Ami = Annotated[
    str, Meta(pattern=r"^(ami-[0-9a-f]{8,17})?$", extra={"allowed": f"ami- and {_HEX}"})
]
Role = Annotated[
    str,
    Meta(
        pattern=r"^(ami|root|swap|ephemeral[0-9]+|ebs[0-9]+)$",
        extra={"allowed": "ami, root, swap, ephemeralN or ebsN"},
    ),
]
Accelerator = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$",
        extra={"allowed": "an id of letters, digits, '_' and '-'"},
    ),
]
LoginName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_][a-z0-9_.-]{0,31}$",
        extra={"allowed": "a login name of lower-case letters, digits, '_', '.' and '-'"},
    ),
]
Digest = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F]{40,64}$", extra={"allowed": "a hash in hex digits"})
]
Prefix = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Fa-f.:]+/[0-9]{1,3}$", extra={"allowed": "a network such as 10.0.0.0/16"}
    ),
]
Long = Annotated[str, Meta(max_length=16_384)]


class Ec2Policy(SessionPolicy, frozen=True, kw_only=True):
    """Choices about the EC2 dialect."""

    tokens: Annotated[
        Literal["auto", "optional", "observe", "required"],
        Meta(
            description="Whether a session token (IMDSv2) is `required`, or `optional`; `observe` "
            "answers without one, and notes who would be refused; `auto` requires it unless the "
            "dialect openstack is on, whose clients know none."
        ),
    ] = "auto"
    endpoint: Annotated[
        bool, Meta(description="`off` refuses everything below `/` and `/latest` with 403.")
    ] = True
    tags: Annotated[bool, Meta(description="Whether the guest sees `tags`.")] = True

    @property
    def gives_tokens(self) -> bool:
        """Whether the dialect gives any under this policy."""
        return self.endpoint


class Ec2Placement(Value, frozen=True):
    """Where in EC2 the machine is."""

    availability_zone: Annotated[
        Label,
        Meta(
            description="Availability zone, by default `placement.zone`. SDKs take its name "
            "without the last letter for the region."
        ),
    ] = ""
    availability_zone_id: Annotated[
        Label, Meta(description="Zone id such as `use1-az1`; derived from region and zone.")
    ] = ""
    group_name: Annotated[Label, Meta(description="Placement group.")] = ""
    host_id: Annotated[Label, Meta(description="Dedicated host.")] = ""
    partition_number: Annotated[
        int, Meta(ge=0, le=7, description="Partition in the placement group; 0: none.")
    ] = 0


class Vpc(Value, frozen=True):
    """The network of all interfaces that say nothing else."""

    id: Annotated[
        str,
        Meta(
            pattern=r"^(vpc-[0-9a-f]{8,17})?$",
            extra={"allowed": f"vpc- and {_HEX}"},
            description="Id; derived from project and region.",
        ),
    ] = ""
    ipv4_cidr_blocks: Annotated[
        tuple[Prefix, ...],
        Meta(max_length=16, description="IPv4 networks; by default the /16 of each subnet."),
    ] = ()
    ipv6_cidr_blocks: Annotated[
        tuple[Prefix, ...],
        Meta(max_length=16, description="IPv6 networks; by default the /56 of each subnet."),
    ] = ()


class Ec2Interface(Value, frozen=True):
    """What EC2 says of one interface beyond its addresses."""

    interface_id: Annotated[
        str,
        Meta(
            pattern=r"^(eni-[0-9a-f]{8,17})?$",
            extra={"allowed": f"eni- and {_HEX}"},
            description="Id; derived from the MAC address.",
        ),
    ] = ""
    subnet_id: Annotated[
        str,
        Meta(
            pattern=r"^(subnet-[0-9a-f]{8,17})?$",
            extra={"allowed": f"subnet- and {_HEX}"},
            description="Id of its subnet; derived from the VPC and the address's network.",
        ),
    ] = ""
    network_card: Annotated[
        int, Meta(ge=-1, le=15, description="Index of its network card; -1: none is told.")
    ] = -1
    ipv4_prefixes: Annotated[
        tuple[Prefix, ...], Meta(max_length=16, description="IPv4 prefixes delegated to it.")
    ] = ()
    ipv6_prefixes: Annotated[
        tuple[Prefix, ...], Meta(max_length=16, description="IPv6 prefixes delegated to it.")
    ] = ()


class SshKeys(Value, frozen=True):
    """Keys that EC2 Instance Connect pushed."""

    signer_cert: Annotated[Long, Meta(description="Certificate chain of their signer, PEM.")] = ""
    signer_ocsp: Annotated[
        dict[Digest, Long],
        Meta(max_length=16, description="OCSP answers in base64 by certificate hash."),
    ] = msgspec.field(default_factory=dict)
    active_keys: Annotated[
        dict[LoginName, Long],
        Meta(max_length=16, description="Signed keys that are good now, by login name."),
    ] = msgspec.field(default_factory=dict)


def _disks() -> dict[str, str]:
    return {"ami": "vda", "root": "/dev/vda"}


class Ec2(Value, frozen=True):
    """What only EC2 has a word for; whatever is left out is derived or absent."""

    instance_id: Annotated[
        str,
        Meta(
            pattern=r"^(i-[0-9a-f]{8,17})?$",
            extra={"allowed": f"i- and {_HEX}"},
            description="Instance id; derived from the UUID.",
        ),
    ] = ""
    account_id: Annotated[Account, Meta(description="Account; derived from the project.")] = ""
    image_id: Annotated[
        Ami, Meta(description="Image id; `image` if that is one, else derived from it.")
    ] = ""
    ancestor_ami_ids: Annotated[
        tuple[Ami, ...], Meta(max_length=16, description="Images that the image was made from.")
    ] = ()
    ami_manifest_path: Annotated[Label, Meta(description="Where its manifest is.")] = "(unknown)"
    reservation_id: Annotated[
        str,
        Meta(
            pattern=r"^(r-[0-9a-f]{8,17})?$",
            extra={"allowed": f"r- and {_HEX}"},
            description="Reservation; derived from the UUID.",
        ),
    ] = ""
    kernel_id: Annotated[Label, Meta(description="Id of the kernel image, if it has one.")] = ""
    ramdisk_id: Annotated[Label, Meta(description="Id of the ramdisk image, if it has one.")] = ""
    product_codes: Annotated[
        tuple[Text, ...], Meta(max_length=16, description="Marketplace product codes.")
    ] = ()
    architecture: Annotated[
        Literal["x86_64", "arm64", "i386", "x86_64_mac", "arm64_mac"],
        Meta(description="Architecture of the image."),
    ] = "x86_64"
    life_cycle: Annotated[
        Literal["on-demand", "spot", "scheduled", "capacity-block"],
        Meta(description="How it was bought; `spot` is what an interruption fits."),
    ] = "on-demand"
    auto_scaling_state: Annotated[
        Literal["", "InService", "Standby", "Detached", "Terminated"],
        Meta(description="Target state in its Auto Scaling group, if it is in one."),
    ] = ""
    system: Annotated[
        Literal["", "nitro", "xen-on-nitro", "xen"], Meta(description="Virtualization.")
    ] = "nitro"
    monitoring: Annotated[bool, Meta(description="Whether detailed monitoring is on.")] = False
    profile: Annotated[Label, Meta(description="Boot profile.")] = "default-hvm"
    vhostmd: Annotated[Long, Meta(description="What `metrics/vhostmd` holds.")] = (
        '<?xml version="1.0" encoding="UTF-8"?>'
    )
    domain: Annotated[Label, Meta(description="Domain of AWS; derived from the region.")] = ""
    partition: Annotated[Label, Meta(description="Partition; derived from the region.")] = ""
    public_hostname: Annotated[
        Label, Meta(description="Public name; derived from the public address, if it has one.")
    ] = ""
    placement: Annotated[Ec2Placement, Meta(description="Where in EC2 it is.")] = Ec2Placement()
    vpc: Annotated[Vpc, Meta(description="Its network.")] = Vpc()
    security_group_ids: Annotated[
        tuple[
            Annotated[
                str, Meta(pattern=r"^sg-[0-9a-f]{8,17}$", extra={"allowed": f"sg- and {_HEX}"})
            ],
            ...,
        ],
        Meta(max_length=64, description="Ids of its security groups; derived from their names."),
    ] = ()
    block_devices: Annotated[
        dict[Role, Text],
        Meta(
            max_length=64,
            description="Device by role: `ami`, `root`, `swap`, `ephemeralN`, `ebsN`.",
        ),
    ] = msgspec.field(default_factory=_disks)
    interfaces: Annotated[
        dict[str, Ec2Interface],
        Meta(max_length=64, description="More about interfaces, by name or MAC address."),
    ] = msgspec.field(default_factory=dict)
    elastic_gpus: Annotated[
        dict[Accelerator, dict[str, object]],
        Meta(max_length=16, description="Elastic GPUs: JSON of each association by its id."),
    ] = msgspec.field(default_factory=dict)
    elastic_inference: Annotated[
        dict[Accelerator, dict[str, object]],
        Meta(max_length=16, description="Elastic Inference: JSON of each association by its id."),
    ] = msgspec.field(default_factory=dict)
    managed_ssh_keys: Annotated[SshKeys, Meta(description="Keys of EC2 Instance Connect.")] = (
        SshKeys()
    )
    credentials: Annotated[
        AwsCredentials, Meta(description="The role that SDKs find, and where its keys come from.")
    ] = AwsCredentials()
