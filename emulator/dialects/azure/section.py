"""What only Azure has a word for, as the ``azure:`` section of a description."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from emulator.model.accounts import AzureIdentity, Uuid
from emulator.model.instance import Label, Text
from emulator.model.network import Address, Value

GroupName = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-])?$",
        extra={"allowed": "at most 90 letters, digits and '_().-', without a final '.'"},
    ),
]
LoginName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        extra={"allowed": "a login name of lower-case letters, digits, '_' and '-'"},
    ),
]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class Plan(Value, frozen=True):
    """The marketplace plan of the image."""

    name: Annotated[Label, Meta(description="Plan.")] = ""
    product: Annotated[Label, Meta(description="Product.")] = ""
    publisher: Annotated[Label, Meta(description="Publisher.")] = ""


class SecurityProfile(Value, frozen=True):
    """How the machine is protected."""

    secure_boot: Annotated[bool, Meta(description="Whether UEFI's secure boot is on.")] = False
    virtual_tpm: Annotated[bool, Meta(description="Whether it has a TPM.")] = False
    encryption_at_host: Annotated[bool, Meta(description="Whether its host encrypts.")] = False
    type: Annotated[
        Literal["", "TrustedLaunch", "ConfidentialVM"], Meta(description="Its security type.")
    ] = ""


class AzureDisk(Value, frozen=True):
    """A managed disk as Azure tells of it."""

    name: Annotated[Text, Meta(description="Its name.")]
    size_gb: Annotated[int, Meta(ge=1, le=65_536, description="Size, GiB.")] = 30
    caching: Annotated[
        Literal["None", "ReadOnly", "ReadWrite"], Meta(description="How it is cached.")
    ] = "ReadWrite"
    storage: Annotated[Label, Meta(description="Kind of storage.")] = "Premium_LRS"


class BalancerRule(Value, frozen=True):
    """A way through the load balancer to the machine."""

    frontend: Annotated[Address, Meta(description="Address of the load balancer.")]
    frontend_port: Annotated[Port, Meta(description="Port there.")]
    backend_port: Annotated[Port, Meta(description="Port of the machine.")]
    protocol: Annotated[Literal["tcp", "udp"], Meta(description="Protocol.")] = "tcp"


class LoadBalancer(Value, frozen=True):
    """The load balancer before the machine."""

    inbound: Annotated[tuple[BalancerRule, ...], Meta(max_length=64, description="Ways in.")] = ()
    outbound: Annotated[
        tuple[Address, ...],
        Meta(max_length=16, description="Its addresses by which the machine gets out."),
    ] = ()


class Azure(Value, frozen=True):
    """What only Azure has a word for; whatever is left out is derived or empty."""

    subscription_id: Annotated[
        Uuid, Meta(description="Subscription; derived from the project.")
    ] = ""
    resource_group: Annotated[
        GroupName, Meta(description="Resource group; by default the namespace.")
    ] = ""
    admin_username: Annotated[
        LoginName,
        Meta(description="Login name to which `public_keys` belong; cloud-init makes it."),
    ] = "azureuser"
    password_login: Annotated[bool, Meta(description="Whether SSH lets in by password.")] = False
    environment: Annotated[Label, Meta(description="Cloud.")] = "AzurePublicCloud"
    publisher: Annotated[Label, Meta(description="Publisher of the image.")] = ""
    offer: Annotated[Label, Meta(description="Offer; by default the instance's `image`.")] = ""
    sku: Annotated[Label, Meta(description="SKU of the image.")] = ""
    version: Annotated[Label, Meta(description="Version of the image.")] = ""
    os_type: Annotated[Literal["Linux", "Windows"], Meta(description="System.")] = "Linux"
    license_type: Annotated[Label, Meta(description="Licence that its owner brought.")] = ""
    priority: Annotated[
        Literal["", "Regular", "Low", "Spot"], Meta(description="How it was bought.")
    ] = ""
    eviction_policy: Annotated[
        Literal["", "Deallocate", "Delete"], Meta(description="What eviction does to it.")
    ] = ""
    zone: Annotated[
        Label, Meta(description="Logical zone (`1`, `2`, ...); by default `placement.zone`.")
    ] = ""
    physical_zone: Annotated[
        Label, Meta(description="Physical zone; derived from region and zone.")
    ] = ""
    fault_domain: Annotated[int, Meta(ge=0, le=255, description="Fault domain.")] = 0
    update_domain: Annotated[int, Meta(ge=0, le=255, description="Update domain.")] = 0
    placement_group_id: Annotated[Label, Meta(description="Placement group.")] = ""
    scale_set: Annotated[Label, Meta(description="Name of its scale set.")] = ""
    host_id: Annotated[Label, Meta(description="Resource id of its dedicated host.")] = ""
    host_group_id: Annotated[Label, Meta(description="Resource id of that one's group.")] = ""
    hibernation: Annotated[bool, Meta(description="Whether it may hibernate.")] = False
    ultra_ssd: Annotated[bool, Meta(description="Whether it may have ultra disks.")] = False
    plan: Annotated[Plan, Meta(description="Marketplace plan.")] = Plan()
    security: Annotated[SecurityProfile, Meta(description="How it is protected.")] = (
        SecurityProfile()
    )
    os_disk: Annotated[AzureDisk, Meta(description="The disk that it boots from.")] = AzureDisk(
        name="os"
    )
    data_disks: Annotated[
        tuple[AzureDisk, ...], Meta(max_length=64, description="Its other disks, by LUN.")
    ] = ()
    resource_disk_mib: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="Size of its temporary disk, MiB; 0: none.")
    ] = 0
    tenant_id: Annotated[
        Uuid, Meta(description="Directory of its identities; derived from the project.")
    ] = ""
    identities: Annotated[
        tuple[AzureIdentity, ...],
        Meta(
            max_length=16,
            description="Its managed identities: the one without `resource_id` is the system's, "
            "the others are assigned by users. None: no tokens.",
        ),
    ] = (AzureIdentity(),)
    load_balancer: Annotated[
        LoadBalancer | None, Meta(description="The load balancer before it.")
    ] = None
    pps_type: Annotated[
        Literal["None", "Running", "Savable", "Unknown", "PreprovisionedOSDisk"],
        Meta(description="Kind of pre-provisioning that `extended` tells of."),
    ] = "None"
