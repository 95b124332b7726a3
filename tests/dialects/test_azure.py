"""Azure's dialect: the document and its parts, identities, attested data, events, wireserver.

The words in the names of the tests are those of contract 5, section by section.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode, b64encode
from email.utils import parsedate_to_datetime
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import UUID
from xml.etree import ElementTree as ET

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.credentials import AccessToken
from emulator.core.message import Reply, Request
from emulator.dialects.azure.identity import TokenDocument
from emulator.dialects.azure.names import VERSIONS
from emulator.dialects.azure.pages import AzurePages
from emulator.dialects.azure.rules import mistakes
from emulator.errors import ConfigError, CredentialsUnavailable
from emulator.model.accounts import AzureIdentity
from emulator.model.instance import Instance
from emulator.tokens.documents import JWKS_PATH
from tests.support.guest import CERTIFICATE, COMPLETE, ED25519, RSA, Guest, header, machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from emulator.core.message import Answer
    from emulator.model.accounts import Account

ROOT = "/metadata"
INSTANCE = f"{ROOT}/instance"
TOKEN = f"{ROOT}/identity/oauth2/token"
INFO = f"{ROOT}/identity/info"
ATTESTED = f"{ROOT}/attested/document"
EVENTS = f"{ROOT}/scheduledevents"
BALANCER = f"{ROOT}/loadbalancer"
SERVICES = (INSTANCE, TOKEN, INFO, ATTESTED, EVENTS, BALANCER, f"{ROOT}/versions", ROOT)

SAID = {"Metadata": "true"}
NEWEST = "2025-04-07"
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
XML = "text/xml; charset=utf-8"
BAD_VERSION = {
    "error": "Bad request. api-version is invalid or was not specified in the request. "
    "For more information refer to aka.ms/azureimds",
    "newest-versions": ["2025-04-07", "2024-07-17", "2024-03-15"],
}
NO_IDENTITY = {"error": "invalid_request", "error_description": "Identity not found"}

# Contract 5.2, written down once more.
KNOWN = [
    "2017-03-01",
    "2017-04-02",
    "2017-08-01",
    "2017-10-01",
    "2017-12-01",
    "2018-02-01",
    "2018-04-02",
    "2018-10-01",
    "2019-02-01",
    "2019-03-11",
    "2019-04-30",
    "2019-06-01",
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-08-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
    "2024-03-15",
    "2024-07-17",
    "2025-04-07",
]

MINIMAL = "name: web-1\ndialects: [azure]\n"
SECTION = """\
dialects: [azure]
azure:
  subscription_id: 0A0B0C0D-0000-4000-8000-000000000001
  resource_group: shop-rg
  admin_username: ada
  password_login: true
  publisher: Debian
  offer: debian-12
  sku: "12"
  version: 0.1.2
  license_type: RHEL_BYOS
  priority: Spot
  eviction_policy: Deallocate
  zone: "2"
  physical_zone: here-AZ02
  fault_domain: 1
  update_domain: 3
  placement_group_id: pg-1
  scale_set: front
  host_id: /hosts/h1
  host_group_id: /hostGroups/g1
  hibernation: true
  ultra_ssd: true
  plan: {name: n, product: p, publisher: q}
  security: {secure_boot: true, virtual_tpm: true, encryption_at_host: true, type: TrustedLaunch}
  os_disk: {name: root, size_gb: 40, caching: ReadOnly, storage: StandardSSD_LRS}
  data_disks: [{name: data, size_gb: 100, caching: None}, {name: more}]
  resource_disk_mib: 4096
  pps_type: Savable
"""
DISK = {
    "caching": "",
    "createOption": "",
    "diffDiskSettings": {"option": ""},
    "diskSizeGB": "",
    "encryptionSettings": {"enabled": ""},
    "image": {"uri": ""},
    "managedDisk": {"id": "", "storageAccountType": ""},
    "name": "",
    "vhd": {"uri": ""},
    "writeAcceleratorEnabled": "",
}
# Contract 5.3: every key there is; what is "" here is a string.
COMPUTE: dict[str, Any] = {
    "additionalCapabilities": {"hibernationEnabled": "", "ultraSSDEnabled": ""},
    "azEnvironment": "",
    "customData": "",
    "evictionPolicy": "",
    "extendedLocation": {"name": "", "type": ""},
    "host": {"id": ""},
    "hostGroup": {"id": ""},
    "isHostCompatibilityLayerVm": "",
    "isVmInStandbyPool": "",
    "licenseType": "",
    "location": "",
    "name": "",
    "offer": "",
    "osProfile": {"adminUsername": "", "computerName": "", "disablePasswordAuthentication": ""},
    "osType": "",
    "physicalZone": "",
    "placementGroupId": "",
    "plan": {"name": "", "product": "", "publisher": ""},
    "platformFaultDomain": "",
    "platformSubFaultDomain": "",
    "platformUpdateDomain": "",
    "priority": "",
    "provider": "",
    "publicKeys": [{"keyData": "", "path": ""}],
    "publisher": "",
    "resourceGroupName": "",
    "resourceId": "",
    "securityProfile": {
        "encryptionAtHost": "",
        "secureBootEnabled": "",
        "securityType": "",
        "virtualTpmEnabled": "",
    },
    "sku": "",
    "storageProfile": {
        "dataDisks": [
            {
                **DISK,
                "bytesPerSecondThrottle": "",
                "isSharedDisk": "",
                "isUltraDisk": "",
                "lun": "",
                "opsPerSecondThrottle": "",
            }
        ],
        "imageReference": {
            "communityGalleryImageId": "",
            "exactVersion": "",
            "id": "",
            "offer": "",
            "publisher": "",
            "sharedGalleryImageId": "",
            "sku": "",
            "version": "",
        },
        "osDisk": {**DISK, "osType": ""},
        "resourceDisk": {"size": ""},
    },
    "subscriptionId": "",
    "tags": "",
    "tagsList": [{"name": "", "value": ""}],
    "userData": "",
    "version": "",
    "virtualMachineScaleSet": {"id": ""},
    "vmId": "",
    "vmScaleSetName": "",
    "vmSize": "",
    "zone": "",
}
INTERFACE: dict[str, Any] = {
    "ipv4": {
        "ipAddress": [{"privateIpAddress": "", "publicIpAddress": ""}],
        "subnet": [{"address": "", "prefix": ""}],
    },
    # Contract 5.3 has no subnet here, cloud-init looks for one.
    "ipv6": {
        "ipAddress": [{"privateIpAddress": ""}],
        "subnet": [{"address": "", "prefix": ""}],
    },
    "macAddress": "",
}


def target(path: str, version: str = NEWEST, **query: str) -> str:
    return f"{path}?{urlencode({'api-version': version, **query}, safe='/:')}"


def ask(guest: Guest, path: str, version: str = NEWEST, **query: str) -> Answer:
    return guest.ask(target(path, version, **query), headers=SAID)


def got(guest: Guest, path: str, version: str = NEWEST, **query: str) -> Any:
    """Give the JSON of an answer that must be good."""
    answer = ask(guest, path, version, **query)
    assert (answer.status, header(answer, "Content-Type")) == (200, JSON), answer.body
    return json.loads(answer.body)


def text(guest: Guest, path: str, **query: str) -> str:
    answer = ask(guest, path, format="text", **query)
    assert (answer.status, header(answer, "Content-Type")) == (200, TEXT), answer.body
    return answer.body.decode()


def refused(answer: Answer, status: int = 400) -> Any:
    """Give the JSON of an answer that must have this status."""
    assert (answer.status, header(answer, "Content-Type")) == (status, JSON), answer.body
    return json.loads(answer.body)


def section(described: Mapping[str, Any], more: str = "") -> Guest:
    return Guest(f"{MINIMAL}{more}azure: {json.dumps(described)}\n")


@pytest.fixture(scope="module")
def full() -> Guest:
    return Guest(COMPLETE + SECTION)


@pytest.fixture(scope="module")
def least() -> Guest:
    return Guest(MINIMAL)


# ------------------------------------------------------------------------------------- versions


def test_the_versions_are_listed_without_one(least: Guest) -> None:
    answer = least.ask(f"{ROOT}/versions", headers=SAID)
    assert (answer.status, header(answer, "Content-Type")) == (200, JSON)
    assert json.loads(answer.body) == {"apiVersions": KNOWN}
    assert list(VERSIONS) == KNOWN


@pytest.mark.parametrize("version", KNOWN)
def test_each_version_serves_the_newest_document(version: str, full: Guest) -> None:
    newest = ask(full, INSTANCE)
    assert newest.status == 200
    assert ask(full, INSTANCE, version) == newest
    assert ask(full, f"{INSTANCE}/compute/name", version, format="text").body == b"web-1"
    assert ask(full, ATTESTED, version).status == 200
    assert ask(full, TOKEN, version, resource="x").status == 200


BAD_QUERIES = (
    "",
    "?",
    "?format=json",
    "?api-version=",
    "?api-version",
    "?api-version=2017-03-02",
    "?api-version=2025-04-08",
    "?api-version=latest",
    "?api-version=2021-02-01x",
    "?api_version=2021-02-01",
    "?api-version=2020-07-01",  # of events alone
)


@pytest.mark.parametrize("query", BAD_QUERIES)
@pytest.mark.parametrize(
    "path", [INSTANCE, f"{INSTANCE}/compute", f"{INSTANCE}/compute/name", ATTESTED, BALANCER]
)
def test_without_a_known_version_the_newest_are_named(path: str, query: str) -> None:
    guest = section({"load_balancer": {}})
    assert refused(guest.ask(f"{path}{query}", headers=SAID)) == BAD_VERSION


def test_parameters_have_any_case_and_unknown_ones_do_not_matter(least: Guest) -> None:
    name = f"{INSTANCE}/compute/name"
    for query in (
        "API-Version=2021-02-01&FORMAT=Text",
        "api-version=2021-02-01&format=TEXT&x=1&=&y",
        "format=text&Api-Version=2021%2D02-01",
    ):
        answer = least.ask(f"{name}?{query}", headers=SAID)
        assert (answer.status, answer.body) == (200, b"web-1"), query


@pytest.mark.parametrize(
    "query",
    [
        f"api-version={NEWEST}&api-version={NEWEST}",
        f"api-version={NEWEST}&API-VERSION={NEWEST}",
        f"api-version={NEWEST}&format=json&format=json",
        f"api-version={NEWEST}&x=1&X=2",
        f"api-version={NEWEST}&resource=a&resource=a",
        "x&x",
    ],
)
@pytest.mark.parametrize("path", [INSTANCE, ATTESTED, EVENTS, TOKEN, INFO])
def test_a_parameter_that_is_repeated_is_refused(path: str, query: str, least: Guest) -> None:
    error = refused(least.ask(f"{path}?{query}", headers=SAID))
    said = error.get("error_description", error["error"])
    assert "repeated" in said or "more than once" in said


# ------------------------------------------------------------------- headers, methods, unknown


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "tRuE"])
def test_the_header_has_any_case(value: str, least: Guest) -> None:
    answer = least.ask(target(INSTANCE), headers={"metadata": value})
    assert answer == ask(least, INSTANCE)
    assert answer.status == 200


@pytest.mark.parametrize("path", SERVICES)
@pytest.mark.parametrize("headers", [{}, {"Metadata": "1"}, {"Metadata": ""}, {"Metadata": "no"}])
def test_without_the_header_it_is_a_bad_request(
    path: str, headers: dict[str, str], least: Guest
) -> None:
    error = refused(least.ask(target(path, resource="x"), headers=headers))
    if path.startswith(f"{ROOT}/identity"):
        assert error == {
            "error": "bad_request_102",
            "error_description": "Required metadata header not specified",
        }
    else:
        assert error == {"error": "Bad request: . Required metadata header not specified"}


@pytest.mark.parametrize("path", SERVICES)
@pytest.mark.parametrize("address", ["10.0.0.9", ""])
def test_what_was_forwarded_is_refused(path: str, address: str, least: Guest) -> None:
    headers = {**SAID, "X-Forwarded-For": address}
    error = refused(least.ask(target(path, resource="x"), headers=headers))
    assert "X-Forwarded-For" in error.get("error_description", error["error"])


METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")
PATHS = (*SERVICES, f"{INSTANCE}/compute/name", f"{INSTANCE}/nothing")


@pytest.mark.parametrize(
    ("path", "method"),
    [pair for pair in product(PATHS, METHODS) if pair != (EVENTS, "POST")],
)
def test_other_methods_are_405(path: str, method: str, least: Guest) -> None:
    answer = least.ask(target(path, resource="x"), method, SAID)
    error = refused(answer, 405)
    assert error.get("error_description", error["error"]) == "Method Not Allowed"
    allowed = "GET, HEAD, POST" if path == EVENTS else "GET, HEAD"
    assert header(answer, "Allow") == allowed
    # The header is looked at first, as in Azure (contract 9.3).
    assert least.ask(target(path), method).status == 400


@pytest.mark.parametrize(
    "path",
    [
        ROOT,
        f"{ROOT}/nothing",
        f"{ROOT}/instances",
        f"{INSTANCE}/compute/nothing",
        f"{INSTANCE}/compute/name/more",
        f"{INSTANCE}/compute/publicKeys/2",
        f"{INSTANCE}/compute/publicKeys/-1",
        f"{INSTANCE}/network/interface/x",
        f"{ROOT}/attested",
        f"{ROOT}/attested/document/x",
        f"{ROOT}/identity",
        f"{ROOT}/identity/oauth2",
        f"{TOKEN}/x",
        f"{EVENTS}/x",
        f"{ROOT}/reprovisiondata",
    ],
)
def test_what_there_is_not_is_404_in_json(path: str, full: Guest) -> None:
    error = refused(ask(full, path, resource="x"), 404)
    assert error.get("error_description", error["error"]) == "Not found"


# ------------------------------------------------------------------------------ /metadata/instance


def shape(value: Any) -> Any:
    """Give the keys of a document, with one sample of each list, whose members are all alike."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        shapes = [shape(one) for one in value]
        assert all(one == shapes[0] for one in shapes)
        return shapes[:1]
    assert isinstance(value, str)
    return ""


def emptied(value: Any) -> Any:
    """Give a shape with no list that has anything."""
    if isinstance(value, dict):
        return {key: emptied(one) for key, one in value.items()}
    return [] if isinstance(value, list) else value


def test_the_complete_machine_has_every_key_and_only_strings(full: Guest) -> None:
    document = got(full, INSTANCE)
    assert set(document) == {"compute", "network"}
    assert shape(document["compute"]) == COMPUTE
    first, *rest = document["network"]["interface"]
    assert shape(first) == INTERFACE
    assert [set(one) for one in rest] == [set(INTERFACE)] * 2


def test_the_least_machine_has_every_key_too(least: Guest) -> None:
    document = got(least, INSTANCE)
    assert set(document) == {"compute"}
    assert shape(document["compute"]) == emptied(COMPUTE)


def test_the_least_machine_says_no_more_than_it_knows(least: Guest) -> None:
    compute = got(least, f"{INSTANCE}/compute")
    said = {key: value for key, value in compute.items() if isinstance(value, str) and value}
    subscription, uuid = said.pop("subscriptionId"), said.pop("vmId")
    assert str(UUID(subscription)) == subscription
    assert str(UUID(uuid)) == uuid == least.instance.uuid
    assert said == {
        "azEnvironment": "AzurePublicCloud",
        "isHostCompatibilityLayerVm": "false",
        "isVmInStandbyPool": "false",
        "location": "local",
        "name": "web-1",
        "offer": "unknown",
        "osType": "Linux",
        "physicalZone": "locala",
        "platformFaultDomain": "0",
        "platformUpdateDomain": "0",
        "provider": "Microsoft.Compute",
        "resourceGroupName": "default",
        "resourceId": f"/subscriptions/{subscription}/resourceGroups/default"
        "/providers/Microsoft.Compute/virtualMachines/web-1",
        "vmSize": "standard",
        "zone": "locala",
    }
    assert compute["osProfile"] == {
        "adminUsername": "azureuser",
        "computerName": "web-1",
        "disablePasswordAuthentication": "true",
    }
    assert compute["storageProfile"]["osDisk"]["diskSizeGB"] == "30"


SUBSCRIPTION = "0a0b0c0d-0000-4000-8000-000000000001"
PROVIDER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop-rg/providers/Microsoft.Compute"
VALUES = {
    "additionalCapabilities/hibernationEnabled": "true",
    "additionalCapabilities/ultraSSDEnabled": "true",
    "azEnvironment": "AzurePublicCloud",
    "customData": "",
    "evictionPolicy": "Deallocate",
    "extendedLocation/name": "",
    "host/id": "/hosts/h1",
    "hostGroup/id": "/hostGroups/g1",
    "licenseType": "RHEL_BYOS",
    "location": "here",
    "name": "web-1",
    "offer": "debian-12",
    "osProfile/adminUsername": "ada",
    "osProfile/computerName": "web-1.shop.example",
    "osProfile/disablePasswordAuthentication": "false",
    "osType": "Linux",
    "physicalZone": "here-AZ02",
    "placementGroupId": "pg-1",
    "plan/name": "n",
    "plan/product": "p",
    "plan/publisher": "q",
    "platformFaultDomain": "1",
    "platformSubFaultDomain": "",
    "platformUpdateDomain": "3",
    "priority": "Spot",
    "provider": "Microsoft.Compute",
    "publicKeys/0/keyData": RSA,
    "publicKeys/0/path": "/home/ada/.ssh/authorized_keys",
    "publicKeys/1/keyData": ED25519,
    "publisher": "Debian",
    "resourceGroupName": "shop-rg",
    "resourceId": f"{PROVIDER}/virtualMachines/web-1",
    "securityProfile/encryptionAtHost": "true",
    "securityProfile/secureBootEnabled": "true",
    "securityProfile/securityType": "TrustedLaunch",
    "securityProfile/virtualTpmEnabled": "true",
    "sku": "12",
    "storageProfile/dataDisks/0/caching": "None",
    "storageProfile/dataDisks/0/createOption": "Attach",
    "storageProfile/dataDisks/0/diskSizeGB": "100",
    "storageProfile/dataDisks/0/lun": "0",
    "storageProfile/dataDisks/0/managedDisk/id": f"{PROVIDER}/disks/data",
    "storageProfile/dataDisks/0/name": "data",
    "storageProfile/dataDisks/1/lun": "1",
    "storageProfile/dataDisks/1/managedDisk/storageAccountType": "Premium_LRS",
    "storageProfile/imageReference/exactVersion": "0.1.2",
    "storageProfile/imageReference/offer": "debian-12",
    "storageProfile/imageReference/publisher": "Debian",
    "storageProfile/imageReference/sku": "12",
    "storageProfile/imageReference/version": "0.1.2",
    "storageProfile/osDisk/caching": "ReadOnly",
    "storageProfile/osDisk/createOption": "FromImage",
    "storageProfile/osDisk/diskSizeGB": "40",
    "storageProfile/osDisk/managedDisk/id": f"{PROVIDER}/disks/root",
    "storageProfile/osDisk/managedDisk/storageAccountType": "StandardSSD_LRS",
    "storageProfile/osDisk/name": "root",
    "storageProfile/osDisk/osType": "Linux",
    "storageProfile/resourceDisk/size": "4096",
    "subscriptionId": SUBSCRIPTION,
    "tags": "tier:front",
    "tagsList/0/name": "tier",
    "tagsList/0/value": "front",
    "userData": b64encode(b"#cloud-config\nhostname: kept\n").decode(),
    "version": "0.1.2",
    "vmId": "0f0e0d0c-0b0a-4908-8706-050403020100",
    "vmScaleSetName": "front",
    "vmSize": "m1.small",
    "zone": "2",
}


def test_the_section_says_what_it_says(full: Guest) -> None:
    assert {path: text(full, f"{INSTANCE}/compute/{path}") for path in VALUES} == VALUES


@pytest.mark.parametrize(
    ("placement", "zone", "physical"),
    [
        ("{region: west, zone: west-2b}", "", "west-2b"),
        ("{region: west, zone: b}", "", "west-b"),
        ("{region: west, zone: west-2b}", "2", "west-2"),
        ("{region: west, zone: b}", "west-3", "west-3"),
    ],
)
def test_a_physical_zone_has_its_region_once(placement: str, zone: str, physical: str) -> None:
    guest = section({"zone": zone}, f"placement: {placement}\n")
    assert text(guest, f"{INSTANCE}/compute/physicalZone") == physical


def test_the_network_is_told_in_azures_words(full: Guest) -> None:
    network = f"{INSTANCE}/network/interface"
    first = {
        "0/ipv4/ipAddress/0/privateIpAddress": "192.0.2.10",
        "0/ipv4/ipAddress/0/publicIpAddress": "203.0.113.10",
        "0/ipv4/subnet/0/address": "192.0.2.0",
        "0/ipv4/subnet/0/prefix": "24",
        "0/ipv6/ipAddress/0/privateIpAddress": "2001:db8::10",
        "0/ipv6/subnet/0/address": "2001:db8::",
        "0/ipv6/subnet/0/prefix": "64",
        "0/macAddress": "525400000001",
    }
    assert {path: text(full, f"{network}/{path}") for path in first} == first
    # The bond asks DHCP with the MAC address of its first card; nothing is known of the other.
    lease = {"privateIpAddress": "", "publicIpAddress": ""}
    assert got(full, network)[1:] == [
        {
            "ipv4": {"ipAddress": [lease], "subnet": [{"address": "", "prefix": "24"}]},
            "ipv6": {"ipAddress": [{"privateIpAddress": ""}]},
            "macAddress": "525400000002",
        },
        {
            "ipv4": {"ipAddress": [], "subnet": []},
            "ipv6": {"ipAddress": []},
            "macAddress": "525400000003",
        },
    ]


def cards(*described: str, more: str = "") -> Any:
    lines = "".join(f"  - {{mac: 'aa:bb:cc:dd:ee:0{n}'{d}}}\n" for n, d in enumerate(described))
    return got(Guest(f"{MINIMAL}interfaces:\n{lines}{more}"), f"{INSTANCE}/network/interface")


def test_a_mac_address_has_upper_case_and_no_colons() -> None:
    assert [one["macAddress"] for one in cards("", "")] == ["AABBCCDDEE00", "AABBCCDDEE01"]


def test_a_card_with_several_addresses_has_all_and_each_subnet_once() -> None:
    [nic] = cards(
        ", addresses: [10.0.0.5/24, 10.0.0.6/24, 10.1.0.5/16, 'fd00::5/64', 'fd00::6/64',"
        "'fd00:1::5/48']"
        ", public_addresses: ['2001:db8::1', 203.0.113.1, 203.0.113.2]"
    )
    pairs = [("10.0.0.5", "203.0.113.1"), ("10.0.0.6", "203.0.113.2"), ("10.1.0.5", "")]
    assert nic["ipv4"] == {
        "ipAddress": [
            {"privateIpAddress": private, "publicIpAddress": public} for private, public in pairs
        ],
        "subnet": [
            {"address": "10.0.0.0", "prefix": "24"},
            {"address": "10.1.0.0", "prefix": "16"},
        ],
    }
    assert nic["ipv6"] == {
        "ipAddress": [
            {"privateIpAddress": private} for private in ("fd00::5", "fd00::6", "fd00:1::5")
        ],
        "subnet": [
            {"address": "fd00::", "prefix": "64"},
            {"address": "fd00:1::", "prefix": "48"},
        ],
    }


def test_a_card_that_asks_dhcp_has_one_address_that_nobody_knows() -> None:
    [nic] = cards(", addresses: [dhcp4], public_addresses: [203.0.113.1]")
    assert nic["ipv4"] == {
        "ipAddress": [{"privateIpAddress": "", "publicIpAddress": "203.0.113.1"}],
        "subnet": [{"address": "", "prefix": "24"}],
    }


@pytest.mark.parametrize("word", ["slaac", "dhcp6", "dhcpv6-stateful", "dhcpv6-stateless"])
def test_a_card_with_some_address_of_version_6_has_one_that_nobody_knows(word: str) -> None:
    [nic] = cards(f", addresses: [{word}]")
    assert nic["ipv4"] == {"ipAddress": [], "subnet": []}
    assert nic["ipv6"] == {"ipAddress": [{"privateIpAddress": ""}]}
    [nic] = cards(f", addresses: [{word}, 'fd00::5/64']")
    assert nic["ipv6"] == {
        "ipAddress": [{"privateIpAddress": "fd00::5"}],
        "subnet": [{"address": "fd00::", "prefix": "64"}],
    }
    [nic] = cards(", addresses: [dhcp4]")
    assert nic["ipv6"] == {"ipAddress": []}


def test_a_card_that_asks_from_an_address_has_it() -> None:
    [nic] = cards(", addresses: [dhcp4]", more="peer: {addresses: [10.9.0.7]}\n")
    assert nic["ipv4"]["ipAddress"] == [{"privateIpAddress": "10.9.0.7", "publicIpAddress": ""}]
    one, other = {"privateIpAddress": "fd00::7"}, {"privateIpAddress": "fd00::8"}
    [nic] = cards(", addresses: [slaac]", more="peer: {addresses: ['fd00::7']}\n")
    assert nic["ipv6"] == {"ipAddress": [one]}
    # For the second one cloud-init looks into the subnet.
    [nic] = cards(", addresses: [slaac]", more="peer: {addresses: ['fd00::7', 'fd00::8']}\n")
    subnet = {"address": "", "prefix": "128"}
    assert nic["ipv6"] == {"ipAddress": [one, other], "subnet": [subnet]}


def test_a_machine_without_interfaces_has_no_network(least: Guest) -> None:
    assert "network" not in got(least, INSTANCE)
    assert "network" not in got(least, INSTANCE, extended="true")
    assert text(least, INSTANCE) == "compute/"
    assert refused(ask(least, f"{INSTANCE}/network"), 404) == {"error": "Not found"}


def test_directories_are_listed_as_text(full: Guest) -> None:
    expected = {
        INSTANCE: "compute/\nnetwork/",
        f"{INSTANCE}/": "compute/\nnetwork/",
        f"{INSTANCE}/network": "interface/",
        f"{INSTANCE}/network/interface": "0/\n1/\n2/",
        f"{INSTANCE}/network/interface/0": "ipv4/\nipv6/\nmacAddress",
        f"{INSTANCE}/compute/osProfile": "adminUsername\ncomputerName\n"
        "disablePasswordAuthentication",
        f"{INSTANCE}/network/interface/2/ipv4/ipAddress": "",
    }
    assert {path: text(full, path) for path in expected} == expected


@pytest.mark.parametrize("query", [{}, {"format": "json"}, {"format": "JSON"}, {"format": ""}])
def test_a_value_is_given_as_text_only(query: dict[str, str], full: Guest) -> None:
    error = refused(ask(full, f"{INSTANCE}/compute/name", **query))
    assert "format=text" in error["error"]
    assert got(full, f"{INSTANCE}/compute/plan", **query)["name"] == "n"


@pytest.mark.parametrize("form", ["xml", "text ", "json,text", "0"])
@pytest.mark.parametrize("path", [INSTANCE, f"{INSTANCE}/compute/name"])
def test_another_format_is_refused(path: str, form: str, full: Guest) -> None:
    assert refused(ask(full, path, format=form)) == {
        "error": "Bad request. format is json or text"
    }


def test_the_extended_part_is_for_who_asks_for_it(full: Guest, least: Guest) -> None:
    plain = got(full, INSTANCE)
    assert got(full, INSTANCE, extended="false") == got(full, INSTANCE, extended="1") == plain
    compute = {"hasCustomData": False, "ppsType": "Savable"}
    assert got(full, INSTANCE, extended="True") == {**plain, "extended": {"compute": compute}}
    assert text(full, INSTANCE, extended="true") == "compute/\nextended/\nnetwork/"
    part = f"{INSTANCE}/extended"
    assert got(full, part, extended="true") == {"compute": compute}
    assert text(full, f"{part}/compute/hasCustomData", extended="true") == "false"
    assert text(least, f"{part}/compute/ppsType", extended="true") == "None"
    for path in (part, f"{part}/compute", f"{part}/compute/ppsType"):
        assert refused(ask(full, path, format="text"), 404) == {"error": "Not found"}


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_part_is_made_once_and_then_found_at_once(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest, sought = Guest(MINIMAL), []
    node = AzurePages.node

    def seek(pages: AzurePages, path: str) -> object:
        sought.append(path)
        return node(pages, path)

    monkeypatch.setattr(AzurePages, "node", seek)
    whole, part = INSTANCE, f"{INSTANCE}/compute/plan"
    made = {path: ask(guest, path, format=form).body for path in (whole, part)}
    with_more = ask(guest, whole, format=form, extended="true").body
    assert {whole, part} == set(sought)
    sought.clear()
    # What was made is given, not its like.
    assert ask(guest, whole, format=form).body is made[whole]
    assert ask(guest, whole, format=form, extended="true").body is with_more != made[whole]
    for extended in ("", "true"):
        assert ask(guest, part, format=form, extended=extended).body is made[part]
    assert sought == []


def test_user_data_that_is_unset_is_empty_and_there(least: Guest) -> None:
    """Ignition asks for ever where it gets a 404 (contract 5.5)."""
    answer = least.ask(
        f"{INSTANCE}/compute/userData?api-version=2021-01-01&format=text", headers=SAID
    )
    assert (answer.status, answer.body, header(answer, "Content-Type")) == (200, b"", TEXT)


def test_tags_are_told_twice() -> None:
    guest = Guest(f'{MINIMAL}tags: {{b: "1", a: "x:y", empty: ""}}\n')
    compute = got(guest, f"{INSTANCE}/compute")
    assert compute["tags"].split(";") == [
        f"{tag['name']}:{tag['value']}" for tag in compute["tagsList"]
    ]
    assert sorted(compute["tags"].split(";")) == ["a:x:y", "b:1", "empty:"]


def test_only_ssh_keys_are_public_keys() -> None:
    pem = CERTIFICATE.replace("\n", "\n      ")
    guest = Guest(
        f"{MINIMAL}public_keys:\n"
        f"  - name: rdp\n    type: x509\n    key: |\n      {pem}\n"
        f"  - {{name: ops, key: {ED25519}}}\n"
    )
    keys = got(guest, f"{INSTANCE}/compute/publicKeys")
    assert [key["keyData"] for key in keys] == [ED25519]


def test_what_is_not_said_is_derived_and_stays() -> None:
    def ids(name: str, project: str) -> tuple[str, str, str]:
        guest = Guest(f"{MINIMAL.replace('web-1', name)}project: {project}\n")
        token = got(guest, TOKEN, resource="x")
        subscription = text(guest, f"{INSTANCE}/compute/subscriptionId")
        return subscription, got(guest, INFO)["tenantId"], token["client_id"]

    one, again, other, elsewhere = ids("a", "p"), ids("a", "p"), ids("b", "p"), ids("a", "q")
    assert one == again
    assert one[:2] == other[:2]
    assert one[2] != other[2]
    assert len({*one[:2], *elsewhere[:2]}) == 4


# --------------------------------------------------------------------------------------- identity

SYSTEM = {"client_id": "11111111-AAAA-4000-8000-000000000001"}
FIRST = {
    "client_id": "22222222-aaaa-4000-8000-000000000001",
    "object_id": "22222222-aaaa-4000-8000-000000000002",
    "resource_id": "/subscriptions/s/resourceGroups/g/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/First",
    "tenant_id": "22222222-AAAA-4000-8000-000000000003",
}
SECOND = {"resource_id": "/second"}


def identities(*described: dict[str, Any]) -> Guest:
    return section({"tenant_id": "99999999-BBBB-4000-8000-000000000001", "identities": described})


def verified(guest: Guest, token: str, audience: str) -> Any:
    """Verify with what verifiers read, by PyJWT alone; the clock is the guest's."""
    keys = jwt.PyJWKSet.from_json(guest.issued.pages()[JWKS_PATH]().body.decode())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=audience,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )


def test_the_system_identity_has_a_token_that_verifies(least: Guest) -> None:
    resource = "https://management.azure.com/"
    found = got(least, TOKEN, "2018-02-01", resource=resource)
    now = int(least.fake.now)
    token = found.pop("access_token")
    claims = verified(least, token, resource)
    tenant = got(least, INFO, "2018-02-01")["tenantId"]
    assert claims == {
        "aud": resource,
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + 28_800,
        "appid": found["client_id"],
        "appidacr": "2",
        "idp": f"https://sts.windows.net/{tenant}/",
        "idtyp": "app",
        "oid": claims["sub"],
        "sub": claims["sub"],
        "tid": tenant,
        "ver": "1.0",
    }
    assert len({claims["sub"], claims["appid"], tenant}) == 3
    # Every number is a string (contract 0.1-11).
    assert found == {
        "client_id": claims["appid"],
        "expires_in": "28800",
        "expires_on": str(now + 28_800),
        "ext_expires_in": "28800",
        "not_before": str(now),
        "resource": resource,
        "token_type": "Bearer",
    }
    with pytest.raises(jwt.InvalidAudienceError):
        verified(least, token, "https://vault.azure.net")
    head, body, signature = token.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    with pytest.raises(jwt.InvalidSignatureError):
        verified(least, f"{head}.{body}.{flipped}", resource)


def test_seconds_left_shrink_as_time_goes_on() -> None:
    guest = identities({"lifetime": 3600})
    first = got(guest, TOKEN, resource="x")
    guest.fake.advance(100.5)
    second = got(guest, TOKEN, resource="x")
    assert (first["expires_in"], second["expires_in"]) == ("3600", "3499")
    assert first["expires_on"] == second["expires_on"]
    guest.fake.advance(1700)
    assert int(got(guest, TOKEN, resource="x")["expires_in"]) > 1699


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("client_id", FIRST["client_id"], FIRST),
        ("client_id", FIRST["client_id"].upper(), FIRST),
        ("CLIENT_ID", FIRST["client_id"], FIRST),
        ("object_id", FIRST["object_id"], FIRST),
        ("principal_id", FIRST["object_id"], FIRST),
        ("msi_res_id", FIRST["resource_id"], FIRST),
        ("msi_res_id", FIRST["resource_id"].lower(), FIRST),
        ("mi_res_id", FIRST["resource_id"], FIRST),
        ("client_id", SYSTEM["client_id"], SYSTEM),
        ("client_id", "", SYSTEM),
        ("object_id", "", SYSTEM),
        ("unknown_id", FIRST["client_id"], SYSTEM),
    ],
)
def test_an_identity_is_chosen_by_any_of_its_ids(
    parameter: str, value: str, found: dict[str, str]
) -> None:
    guest = identities(SECOND, SYSTEM, FIRST)
    token = got(guest, TOKEN, resource="x", **{parameter: value})
    claims = verified(guest, token["access_token"], "x")
    assert token["client_id"] == claims["appid"] == found["client_id"].lower()
    assert claims.get("xms_mirid") == found.get("resource_id")
    tenant = found.get("tenant_id", "99999999-bbbb-4000-8000-000000000001").lower()
    assert claims["tid"] == tenant
    assert claims["oid"] == found.get("object_id", claims["oid"])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("client_id", FIRST["object_id"]),
        ("object_id", FIRST["client_id"]),
        ("msi_res_id", FIRST["client_id"]),
        ("client_id", "x"),
        ("mi_res_id", "/third"),
    ],
)
def test_an_id_that_no_identity_has_is_refused(parameter: str, value: str) -> None:
    guest = identities(SYSTEM, FIRST)
    assert refused(ask(guest, TOKEN, resource="x", **{parameter: value})) == NO_IDENTITY


def test_identities_of_one_name_have_the_same_ids_on_every_machine() -> None:
    one = got(identities(SECOND), TOKEN, resource="x")
    more = f"{MINIMAL.replace('web-1', 'web-2')}azure: {json.dumps({'identities': [SECOND]})}\n"
    assert got(Guest(more), TOKEN, resource="x")["client_id"] == one["client_id"]


def test_the_only_identity_of_a_user_need_not_be_named() -> None:
    assert got(identities(FIRST), TOKEN, resource="x")["client_id"] == FIRST["client_id"]


def test_one_of_several_identities_of_users_must_be_named() -> None:
    error = refused(ask(identities(FIRST, SECOND), TOKEN, resource="x"))
    assert error["error"] == "invalid_request"
    assert error["error_description"].startswith("Multiple user assigned identities exist")


def test_a_machine_without_identities_says_so_with_400() -> None:
    guest = identities()
    for path in (TOKEN, INFO):
        assert refused(ask(guest, path, "2018-02-01", resource="x")) == NO_IDENTITY
    named = ask(guest, TOKEN, resource="x", client_id=FIRST["client_id"])
    assert refused(named) == NO_IDENTITY


@pytest.mark.parametrize("query", ["", "&resource=", "&resource"])
def test_a_token_is_for_a_resource(query: str, least: Guest) -> None:
    error = refused(least.ask(f"{target(TOKEN)}{query}", headers=SAID))
    assert error == {
        "error": "invalid_request",
        "error_description": "Required query variable 'resource' is missing",
    }


def test_a_resource_has_a_length(least: Guest) -> None:
    assert got(least, TOKEN, resource="ü" * 1024)["resource"] == "ü" * 1024
    assert refused(ask(least, TOKEN, resource="x" * 1025)) == {
        "error": "invalid_resource",
        "error_description": "The resource has more than 1024 characters",
    }


@pytest.mark.parametrize("path", [TOKEN, INFO])
@pytest.mark.parametrize("query", BAD_QUERIES[:-1])
def test_identities_have_a_version_too(path: str, query: str, least: Guest) -> None:
    error = refused(least.ask(f"{path}{query}", headers=SAID))
    assert error["error"] == "invalid_request"
    assert "api-version" in error["error_description"]


@pytest.mark.parametrize("version", ["2017-09-01", "2018-02-01", "2019-08-01", "2021-12-01"])
def test_versions_of_other_services_identities_will_do(version: str, least: Guest) -> None:
    assert got(least, TOKEN, version, resource="x")["token_type"] == "Bearer"
    assert set(got(least, INFO, version)) == {"tenantId"}


class Failing(Guest):
    """A guest whose tokens cannot be had, or are of another kind."""

    answer: CredentialsUnavailable | AccessToken

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        """Give what the test wants."""
        if isinstance(self.answer, AccessToken):
            return self.answer
        raise self.answer


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("Refused", 400, "unauthorized_client"), ("Failed", 500, "unknown")],
)
def test_a_token_that_cannot_be_had_is_refused_for_good_or_for_now(
    code: str, status: int, error: str
) -> None:
    guest = Failing(MINIMAL)
    guest.answer = CredentialsUnavailable("no token today", code=code, detail="/a/secret/path")
    found = refused(ask(guest, TOKEN, resource="x"), status)
    assert found == {"error": error, "error_description": "no token today"}


def test_who_asks_for_too_much_at_once_is_told_so() -> None:
    guest = Failing(MINIMAL)
    guest.answer = CredentialsUnavailable("too much", code="Throttled", detail="/a/secret/path")
    answer = ask(guest, TOKEN, resource="x")
    assert refused(answer, 429) == {"error": "too_many_requests", "error_description": "too much"}
    assert header(answer, "Retry-After") == "1"
    request = Request("GET", TOKEN, "api-version=2018-02-01&resource=x", HTTPHeaders(SAID))
    reply = asyncio.run(TokenDocument((AzureIdentity(),))(request, guest))
    assert isinstance(reply, Reply)
    assert reply.refusal == "throttled"


def test_a_token_that_has_ended_lives_no_seconds() -> None:
    guest = Failing(MINIMAL)
    guest.answer = AccessToken("t", guest.fake.now - 20.5, guest.fake.now - 10.5)
    found = got(guest, TOKEN, resource="x")
    assert (found["access_token"], found["expires_in"]) == ("t", "0")
    assert found["not_before"] == str(int(guest.fake.now - 20.5))


# --------------------------------------------------------------------------------------- attested


class Sealing(Guest):
    """A guest that keeps what it is asked to sign."""

    sealed: tuple[str, bytes] = ("", b"")

    async def seal(self, form: str, document: bytes) -> bytes:
        """Give 100 bytes in lines, as the signer does."""
        self.sealed = (form, document)
        signed = b64encode(bytes(range(100)))
        return signed[:64] + b"\n" + signed[64:]


def attested(guest: Sealing, **query: str) -> Any:
    answer = got(guest, ATTESTED, **query)
    assert answer == {"encoding": "pkcs7", "signature": b64encode(bytes(range(100))).decode()}
    form, document = guest.sealed
    assert form == "attested"
    return json.loads(document)


def test_the_attested_document_says_who_and_when() -> None:
    assert attested(Sealing(COMPLETE + SECTION)) == {
        "licenseType": "RHEL_BYOS",
        "nonce": "20270115-080000",
        "plan": {"name": "n", "product": "p", "publisher": "q"},
        "sku": "12",
        "subscriptionId": SUBSCRIPTION,
        "timeStamp": {
            "createdOn": "01/15/27 08:00:00 -0000",
            "expiresOn": "01/15/27 14:00:00 -0000",
        },
        "vmId": "0f0e0d0c-0b0a-4908-8706-050403020100",
    }


def test_its_time_is_the_one_at_which_it_is_asked_for() -> None:
    guest = Sealing(MINIMAL)
    first = attested(guest)
    guest.fake.advance(61)
    second = attested(guest)
    assert second["timeStamp"]["createdOn"] == "01/15/27 08:01:01 -0000"
    assert first["nonce"] != second["nonce"] == "20270115-080101"


@pytest.mark.parametrize(
    "nonce", ["1234567890", "0123456789abcdefABCDEFGHIJKLMNOP", "x", "z" * 64]
)
def test_a_nonce_is_echoed_whole(nonce: str) -> None:
    guest = Sealing(MINIMAL)
    assert attested(guest, nonce=nonce)["nonce"] == nonce


@pytest.mark.parametrize("nonce", ["", "x" * 65, "a b", "a-b", "a\n", '"', "ü", "\x00"])
def test_another_nonce_is_refused(nonce: str) -> None:
    guest = Sealing(MINIMAL)
    assert "nonce" in refused(ask(guest, ATTESTED, nonce=nonce))["error"]
    assert guest.sealed == ("", b"")


# ----------------------------------------------------------------------------------------- events

PLANNED = """\
events:
  - kind: maintenance
    id: abc
    action: freeze
    notice: start+10s
    begins: notice+1h
    ends: begins+5m
    description: The host is updated
  - {kind: interruption, id: 0a0b0c0d-0000-4000-8000-00000000000e, notice: start+20s}
  - {kind: rebalance}
  - {kind: lifecycle, state: Terminated}
"""
LAST = "2020-07-01"


def events(guest: Guest, version: str = LAST) -> Any:
    return got(guest, EVENTS, version)


def after(guest: Guest, seconds: float) -> Any:
    guest.fake.advance(seconds)
    guest.again()
    return events(guest)


def start(guest: Guest, *ids: str) -> Answer:
    body = json.dumps({"StartRequests": [{"EventId": one} for one in ids]}).encode()
    return guest.ask(target(EVENTS, LAST), "POST", SAID, body)


def test_a_machine_without_events_has_an_empty_document(least: Guest) -> None:
    assert events(least) == {"DocumentIncarnation": 1, "Events": []}


def test_an_event_comes_begins_at_its_time_and_vanishes() -> None:
    guest = Guest(MINIMAL + PLANNED)
    assert events(guest)["Events"] == []
    assert after(guest, 9.5)["Events"] == []
    found = after(guest, 0.5)
    begins = guest.fake.now + 3600
    assert found["DocumentIncarnation"] == 2
    [freeze] = found["Events"]
    assert parsedate_to_datetime(freeze["NotBefore"]).timestamp() == begins
    assert str(UUID(freeze["EventId"])).upper() == freeze["EventId"]
    assert freeze == {
        "EventId": freeze["EventId"],
        "EventStatus": "Scheduled",
        "EventType": "Freeze",
        "ResourceType": "VirtualMachine",
        "Resources": ["web-1"],
        "NotBefore": "Fri, 15 Jan 2027 09:00:10 GMT",
        "Description": "The host is updated",
        "EventSource": "Platform",
        "DurationInSeconds": 300,
    }
    found = after(guest, 10)
    assert found["Events"][0] == freeze
    preempt = found["Events"][1]
    assert preempt["EventId"] == "0A0B0C0D-0000-4000-8000-00000000000E"
    assert preempt["EventType"] == "Preempt"
    assert preempt["NotBefore"] == "Fri, 15 Jan 2027 08:02:20 GMT"
    assert preempt["DurationInSeconds"] == -1
    assert len(found["Events"]) == 2
    guest.fake.advance(3590)
    begun = after(guest, 0)["Events"][0]
    assert begun == freeze | {"EventStatus": "Started", "NotBefore": ""}
    assert [one["EventType"] for one in after(guest, 299)["Events"]] == ["Freeze"]
    assert after(guest, 1)["Events"] == []


def test_one_that_never_ends_is_shown_for_ten_minutes_after_it_began() -> None:
    guest = Guest(MINIMAL + PLANNED)
    [_, preempt] = after(guest, 20)["Events"]
    assert after(guest, 119)["Events"][1] == preempt
    assert after(guest, 1)["Events"][1]["EventStatus"] == "Started"
    number = events(guest)["DocumentIncarnation"]
    guest.fake.advance(599)
    assert len(events(guest)["Events"]) == 2
    # Nothing is rendered anew for it.
    guest.fake.advance(1)
    assert [one["EventType"] for one in events(guest)["Events"]] == ["Freeze"]
    assert events(guest)["DocumentIncarnation"] == number + 1


def test_the_guest_lets_an_event_begin() -> None:
    guest = Guest(MINIMAL + PLANNED)
    [freeze] = after(guest, 10)["Events"]
    answer = start(guest, freeze["EventId"])
    assert (answer.status, answer.body) == (200, b"")
    assert header(answer, "Content-Type") == JSON
    found = events(guest)
    assert found["Events"] == [freeze | {"EventStatus": "Started", "NotBefore": ""}]
    assert found["DocumentIncarnation"] == 3
    # To say so again, in any case, changes nothing.
    assert start(guest, freeze["EventId"].lower(), freeze["EventId"]).status == 200
    guest.fake.advance(5)
    assert start(guest, freeze["EventId"]).status == 200
    assert events(guest) == found
    assert [one["EventType"] for one in after(guest, 294)["Events"]] == ["Freeze", "Preempt"]
    assert [one["EventType"] for one in after(guest, 1)["Events"]] == ["Preempt"]
    assert start(guest, freeze["EventId"]).status == 200


def test_several_begin_at_once() -> None:
    guest = Guest(MINIMAL + PLANNED)
    ids = [one["EventId"] for one in after(guest, 20)["Events"]]
    number = events(guest)["DocumentIncarnation"]
    assert start(guest, *ids).status == 200
    found = events(guest)
    assert {one["EventStatus"] for one in found["Events"]} == {"Started"}
    assert found["DocumentIncarnation"] > number


GOOD = "0a0b0c0d-0000-4000-8000-00000000000e"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"StartRequests": null}',
        b'{"StartRequests": {}}',
        b'{"StartRequests": []}',
        b'{"StartRequests": ["%s"]}' % GOOD.encode(),
        b'{"StartRequests": [{}]}',
        b'{"StartRequests": [{"EventId": 1}]}',
        b'{"startRequests": [{"EventId": "%s"}]}' % GOOD.encode(),
        b'{"StartRequests": [{"EventId": "%s"}]' % GOOD.encode(),
        b'{"StartRequests": [{"EventId": "\xff"}]}',
        b'{"StartRequests": [{"EventId": "%s"}]}' % GOOD.replace("a", "b").encode(),
        b'{"StartRequests": [{"EventId": "%s"}, {"EventId": "x"}]}' % GOOD.encode(),
        b'{"StartRequests": [{"EventId": ""}]}',
        b'{"StartRequests": ' + b"[" * 100_000,
        b'{"StartRequests": [{"EventId": "%s"}], "x": ' % GOOD.encode() + b'{"x":' * 100_000,
    ],
)
def test_what_is_no_good_word_begins_nothing(body: bytes) -> None:
    guest = Guest(MINIMAL + PLANNED)
    before = after(guest, 20)
    error = refused(guest.ask(target(EVENTS, LAST), "POST", SAID, body))
    assert error["error"].startswith("Bad request. ")
    assert events(guest) == before
    assert start(guest, GOOD).status == 200


def test_an_event_that_was_not_announced_yet_has_no_leave() -> None:
    guest = Guest(MINIMAL + PLANNED)
    [freeze] = after(guest, 10)["Events"]
    # The second one has a name that it could have guessed.
    for ids in ([GOOD], [freeze["EventId"], GOOD]):
        error = refused(start(guest, *ids))
        assert error == {"error": "Bad request. An EventId names no event of this machine"}
    assert events(guest)["Events"] == [freeze]
    assert guest.allowed == {}
    after(guest, 10)
    assert start(guest, GOOD).status == 200


def test_an_event_that_azure_has_no_word_for_has_no_id() -> None:
    guest = Guest(
        MINIMAL + "events: [{kind: rebalance, id: 0a0b0c0d-0000-4000-8000-00000000000e}]"
    )
    assert refused(start(guest, GOOD))["error"].startswith("Bad request. ")
    assert guest.allowed == {}


def test_a_word_needs_its_path_and_version() -> None:
    guest = Guest(MINIMAL + PLANNED)
    after(guest, 20)
    body = b'{"StartRequests": [{"EventId": "%s"}]}' % GOOD.encode()
    assert refused(guest.ask(EVENTS, "POST", SAID, body))["newest-versions"]
    assert guest.ask(target(EVENTS, LAST), "POST", {}, body).status == 400
    assert refused(guest.ask(target(f"{EVENTS}/x", LAST), "POST", SAID, body), 404)
    assert guest.allowed == {}
    assert guest.ask(target(f"{EVENTS}/", "2017-03-01"), "POST", SAID, body).status == 200
    assert list(guest.allowed) == [GOOD]


def test_the_incarnation_grows_by_each_change_and_then_only() -> None:
    guest = Guest(MINIMAL + PLANNED)
    numbers = []
    for step in (0, 10, 10, 5, 115, 600, 2860, 10, 300, 10_000):
        found = after(guest, step)
        numbers.append(found["DocumentIncarnation"])
        assert events(guest, "2017-03-01")["DocumentIncarnation"] == numbers[-1]
        assert events(guest) == found
    # Nothing, freeze, preempt, -, that begins, goes, -, the first begins, goes, -.
    assert numbers == [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]


def test_a_server_that_starts_anew_does_not_count_back() -> None:
    guest, numbers = Guest(MINIMAL + PLANNED), []
    for step in (0, 10, 10, 120, 600, 2860, 10, 300):
        number = after(guest, step)["DocumentIncarnation"]
        guest.numbered = ("", 0)
        assert events(guest)["DocumentIncarnation"] == number
        numbers.append(number)
    assert numbers[-1] == 7


@pytest.mark.parametrize(
    ("described", "kind"),
    [
        ("kind: maintenance, action: reboot", "Reboot"),
        ("kind: maintenance, action: host-reboot", "Reboot"),
        ("kind: maintenance, action: migrate", "Freeze"),
        ("kind: maintenance, action: freeze", "Freeze"),
        ("kind: maintenance, action: redeploy", "Redeploy"),
        ("kind: maintenance, action: stop", "Redeploy"),
        ("kind: maintenance, action: terminate", "Terminate"),
        ("kind: interruption, action: terminate", "Preempt"),
        ("kind: interruption, action: stop", "Preempt"),
        ("kind: interruption, action: hibernate", "Preempt"),
    ],
)
def test_each_action_has_azures_word(described: str, kind: str) -> None:
    guest = Guest(f"{MINIMAL}events: [{{{described}}}]\n")
    assert [one["EventType"] for one in events(guest)["Events"]] == [kind]


FIELDS = {
    "EventId",
    "EventStatus",
    "EventType",
    "ResourceType",
    "Resources",
    "NotBefore",
}
EACH = """\
events:
  - {kind: maintenance}
  - {kind: maintenance, action: terminate}
  - {kind: interruption}
"""


@pytest.mark.parametrize(
    ("version", "types", "more"),
    [
        ("2017-03-01", ["Reboot"], set()),
        ("2017-08-01", ["Reboot"], set()),
        ("2017-11-01", ["Reboot", "Preempt"], set()),
        ("2019-01-01", ["Reboot", "Terminate", "Preempt"], set()),
        ("2019-04-01", ["Reboot", "Terminate", "Preempt"], {"Description"}),
        ("2019-08-01", ["Reboot", "Terminate", "Preempt"], {"Description", "EventSource"}),
        (
            "2020-07-01",
            ["Reboot", "Terminate", "Preempt"],
            {"Description", "EventSource", "DurationInSeconds"},
        ),
    ],
)
def test_a_version_has_the_types_and_fields_of_its_time(
    version: str, types: list[str], more: set[str]
) -> None:
    found = events(Guest(MINIMAL + EACH), version)["Events"]
    assert [one["EventType"] for one in found] == types
    assert {frozenset(one) for one in found} == {frozenset(FIELDS | more)}


@pytest.mark.parametrize("query", ["", "?api-version=2021-02-01", "?api-version=2020-07-02"])
def test_events_have_versions_of_their_own(query: str, least: Guest) -> None:
    error = refused(least.ask(f"{EVENTS}{query}", headers=SAID))
    assert error == BAD_VERSION | {"newest-versions": ["2020-07-01", "2019-08-01", "2019-04-01"]}


def test_head_tells_the_same_of_events() -> None:
    guest = Guest(MINIMAL + PLANNED)
    after(guest, 20)
    assert guest.ask(target(EVENTS, LAST), "HEAD", SAID) == ask(guest, EVENTS, LAST)
    assert events(guest)["DocumentIncarnation"] == 3


# ---------------------------------------------------------------------------------- load balancer


def test_a_machine_without_a_load_balancer_has_none(least: Guest) -> None:
    error = refused(ask(least, BALANCER, "2020-10-01"), 404)
    assert error["error"].startswith("No load balancer metadata is found.")


def test_a_load_balancer_is_told_by_its_rules() -> None:
    rules = [
        {"frontend": "203.0.113.1", "frontend_port": 80, "backend_port": 8080},
        {"frontend": "203.0.113.2", "frontend_port": 53, "backend_port": 53, "protocol": "udp"},
        {"frontend": "203.0.113.1", "frontend_port": 443, "backend_port": 8443},
    ]
    described = {"load_balancer": {"inbound": rules, "outbound": ["203.0.113.9"]}}
    card = "interfaces: [{mac: '52:54:00:00:00:01', addresses: [10.0.0.5/24]}]\n"
    assert got(section(described, card), BALANCER, "2020-10-01") == {
        "loadbalancer": {
            "publicIpAddresses": [
                {"frontendIpAddress": "203.0.113.1", "privateIpAddress": "10.0.0.5"},
                {"frontendIpAddress": "203.0.113.2", "privateIpAddress": "10.0.0.5"},
            ],
            "inboundRules": [
                {
                    "frontendIpAddress": rule["frontend"],
                    "protocol": rule.get("protocol", "tcp"),
                    "frontendPort": rule["frontend_port"],
                    "backendPort": rule["backend_port"],
                    "privateIpAddress": "10.0.0.5",
                }
                for rule in rules
            ],
            "outboundRules": [
                {"frontendIpAddress": "203.0.113.9", "privateIpAddress": "10.0.0.5"}
            ],
        }
    }
    assert got(section({"load_balancer": {}}), BALANCER) == {
        "loadbalancer": {"publicIpAddresses": [], "inboundRules": [], "outboundRules": []}
    }


# ------------------------------------------------------------------------------------- wireserver

DOOR = "wireserver:"
REPORT = """\
<?xml version="1.0" encoding="utf-8"?>
<Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <GoalStateIncarnation>1</GoalStateIncarnation>
  <Container>
    <ContainerId>c</ContainerId>
    <RoleInstanceList>
      <Role>
        <InstanceId>i</InstanceId>
        <Health>
          <State>{state}</State>{details}
        </Health>
      </Role>
    </RoleInstanceList>
  </Container>
</Health>
"""
DETAILS = """
<Details><SubStatus>ProvisioningFailed</SubStatus><Description>{why}</Description></Details>"""


def health(guest: Guest, body: str, path: str = "/machine?comp=health") -> Answer:
    return guest.ask(f"{DOOR}{path}", "POST", body=body.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "path",
    [
        "/machine?comp=goalstate",
        "/machine/?comp=goalstate",
        "/machine/?Comp=GoalState",
        "//machine?comp=goalstate&x=1",
    ],
)
def test_the_goal_is_that_this_machine_runs(path: str, least: Guest) -> None:
    answer = least.ask(f"{DOOR}{path}")
    assert (answer.status, header(answer, "Content-Type")) == (200, XML)
    goal = ET.fromstring(answer.body)  # noqa: S314  our own
    assert goal.tag == "GoalState"
    found = {
        name: goal.findtext(name)
        for name in (
            "./Version",
            "./Incarnation",
            "./Machine/ExpectedState",
            "./Container/ContainerId",
            "./Container/RoleInstanceList/RoleInstance/InstanceId",
            "./Container/RoleInstanceList/RoleInstance/State",
        )
    }
    assert list(found.values()) == [
        *("2012-11-30", "1", "Started"),
        *(least.instance.uuid, least.instance.uuid, "Started"),
    ]
    # No certificates to fetch, no configuration.
    assert b"http://" not in answer.body.replace(b"http://www.w3.org", b"")


def test_the_versions_of_the_wireserver(least: Guest) -> None:
    answer = least.ask(f"{DOOR}/?comp=versions")
    assert (answer.status, header(answer, "Content-Type")) == (200, XML)
    versions = ET.fromstring(answer.body)  # noqa: S314  our own
    assert versions.findtext("./Preferred/Version") == "2012-11-30"
    supported = [one.text for one in versions.findall("./Supported/Version")]
    assert supported == ["2012-11-30", "2015-04-05"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 400),
        ("/?comp=goalstate", 400),
        ("/machine", 400),
        ("/machine?comp=versions", 400),
        ("/machine?comp=health", 400),
        ("/machine?comp=", 400),
        ("/machine?comp=goalstate&comp=goalstate", 400),
        ("/machine/x?comp=goalstate", 404),
        ("/other?comp=goalstate", 404),
        ("/metadata/instance?api-version=2021-02-01", 404),
        ("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x", 404),
        ("/healthz", 404),
    ],
)
def test_the_wireserver_has_nothing_else(path: str, status: int, least: Guest) -> None:
    answer = least.ask(f"{DOOR}{path}", headers=SAID)
    assert answer.status == status
    assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_the_wireserver_is_asked_and_told(method: str, least: Guest) -> None:
    answer = least.ask(f"{DOOR}/machine?comp=goalstate", method)
    assert (answer.status, header(answer, "Allow")) == (405, "GET, HEAD, POST")
    other = least.ask(f"{DOOR}/?comp=versions", method)
    assert (other.status, header(other, "Allow")) == (405, "GET, HEAD")
    assert least.status(f"{DOOR}/?comp=versions", "POST") == 405


@pytest.mark.parametrize(
    ("body", "state", "why"),
    [
        (REPORT.format(state="Ready", details=""), "Ready", ""),
        (REPORT.format(state="\n Ready\t", details=""), "Ready", ""),
        (
            REPORT.format(state="NotReady", details=DETAILS.format(why=" it broke\n")),
            "NotReady",
            "it broke",
        ),
        (
            REPORT.format(state="NotReady", details=DETAILS.format(why="a &lt;b&gt; &amp;amp; ü")),
            "NotReady",
            "a <b> &amp; ü",
        ),
        (
            REPORT.format(state="NotReady", details=DETAILS.format(why="x" * 1024)),
            "NotReady",
            "x" * 1024,
        ),
        (
            REPORT.format(state="NotReady", details=DETAILS.format(why="\udcff")),
            "NotReady",
            "\ufffd",
        ),
    ],
)
def test_a_health_report_reaches_the_operator(body: str, state: str, why: str) -> None:
    guest = Guest(MINIMAL)
    answer = health(guest, body)
    assert (answer.status, answer.body) == (200, b"")
    assert guest.reported == (state, why)


@pytest.mark.parametrize("path", ["/machine/?comp=health", "/machine?COMP=Health&x=1"])
def test_a_report_is_taken_however_it_is_spelt(path: str) -> None:
    guest = Guest(MINIMAL)
    assert health(guest, REPORT.format(state="Ready", details=""), path).status == 200
    assert guest.reported == ("Ready", "")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/machine?comp=health", "", 400),
        ("/machine?comp=health", "<Health/>", 400),
        ("/machine?comp=health", REPORT.format(state="", details=""), 400),
        ("/machine?comp=health", REPORT.format(state="a b", details=""), 400),
        ("/machine?comp=health", REPORT.format(state="x" * 33, details=""), 400),
        ("/machine", REPORT.format(state="Ready", details=""), 400),
        ("/machine?comp=goalstate", REPORT.format(state="Ready", details=""), 400),
        ("/machine?comp=health&comp=health", REPORT.format(state="Ready", details=""), 400),
        ("/other?comp=health", REPORT.format(state="Ready", details=""), 404),
        ("/machine/x?comp=health", REPORT.format(state="Ready", details=""), 404),
        ("/metadata/instance?comp=health", REPORT.format(state="Ready", details=""), 404),
    ],
)
def test_what_is_no_report_is_refused(path: str, body: str, status: int) -> None:
    guest = Guest(MINIMAL)
    assert health(guest, body, path).status == status
    assert guest.reported == ("", "")


@pytest.mark.parametrize(
    "path", ["/machine", "/machine?comp=goalstate", "/?comp=versions", "/wireserver:/machine"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_ordinary_address_has_no_wireserver(path: str, method: str, least: Guest) -> None:
    answer = least.ask(path, method, SAID, REPORT.format(state="Ready", details="").encode())
    assert answer.status == 404
    assert least.reported == ("", "")


# --------------------------------------------------------------------------------------- mistakes

FEDERATED = {"provider": "federated", "client_id": SYSTEM["client_id"]}
AUDIENCE = "tokens: [{audience: 'api://AzureADTokenExchange'}]\n"


@pytest.mark.parametrize(
    ("described", "more", "fields"),
    [
        ({"identities": [{}, {}]}, "", ["azure.identities[1].resource_id"]),
        (
            {"identities": [{"resource_id": "/A"}, {}, {"resource_id": "/a"}]},
            "",
            ["azure.identities[2].resource_id"],
        ),
        ({"identities": [{"provider": "file"}]}, "", ["azure.identities[0].file"]),
        (
            {"identities": [{"endpoint": "http://localhost"}]},
            "",
            ["azure.identities[0].endpoint"],
        ),
        (
            {"identities": [FEDERATED | {"endpoint": "http://localhost"}]},
            "",
            ["azure.identities[0].token_audience"],
        ),
        (
            {"identities": [{"provider": "federated"}]},
            AUDIENCE,
            ["azure.identities[0].client_id", "azure.identities[0].tenant_id"],
        ),
        ({"identities": [FEDERATED]}, AUDIENCE, ["azure.identities[0].tenant_id"]),
        ({"subscription_id": "x"}, "", ["azure.subscription_id"]),
        ({"resource_group": "ends."}, "", ["azure.resource_group"]),
        ({"admin_username": "Ada"}, "", ["azure.admin_username"]),
        (
            {"load_balancer": {"inbound": [{"frontend": "x", "frontend_port": 1}]}},
            "",
            ["azure.load_balancer.inbound[0].backend_port"],
        ),
    ],
)
def test_mistakes_in_the_section_are_named(
    described: dict[str, Any], more: str, fields: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        section(described, more)
    found = [problem.field for problem in raised.value.problems]
    assert set(fields) <= set(found)
    if "load_balancer" not in described:
        assert found == fields


@pytest.mark.parametrize(
    "described",
    [
        {"identities": [FEDERATED | {"endpoint": "http://localhost/token"}]},
        {"identities": [FEDERATED | {"tenant_id": FIRST["tenant_id"]}]},
        {"identities": [FEDERATED], "tenant_id": FIRST["tenant_id"]},
        {"identities": []},
        {"identities": [{}, {"resource_id": "/a"}, {"resource_id": "/b"}]},
    ],
)
def test_what_is_no_mistake(described: dict[str, Any]) -> None:
    assert ask(section(described, AUDIENCE), INSTANCE).status == 200


def test_without_a_section_there_are_no_mistakes() -> None:
    assert list(mistakes(Instance(name="web-1"))) == []


def test_a_section_of_a_dialect_that_is_off_is_kept_quietly() -> None:
    guest = Guest("name: web-1\ndialects: [openstack]\nazure: {priority: Spot}\n")
    assert guest.status("/openstack") == 200
    assert ask(guest, INSTANCE).status == 404
    assert machine("name: web-1\ndialects: [openstack]\n").sections.get("azure") is None


# ----------------------------------------------------------------- whatever is described or asked


def parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give each part of a document and its path, as a client would go there."""
    yield path, value
    if isinstance(value, dict):
        for key, one in value.items():
            yield from parts(one, f"{path}/{quote(key)}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from parts(one, f"{path}/{index}")


words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    given_to_cards = st.tuples(
        st.lists(st.sampled_from(["10.0.0.5/24", "10.0.0.6/24", "fd00::5/64", "dhcp4"])),
        st.lists(st.sampled_from(["10.1.0.6/16", "fd00:1::5/64", "dhcp4", "slaac"])),
    ).map(lambda both: both[: len(both[0]) % 3])
    described = {
        "name": draw(st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z]", fullmatch=True)),
        "dialects": ["azure"],
        "tags": draw(st.dictionaries(words, words, max_size=3)),
        "public_keys": [
            {"name": f"key-{number}", "key": ED25519} for number in range(draw(st.integers(0, 2)))
        ],
        "user_data": draw(st.text(st.characters(exclude_categories=["C"]), max_size=30)),
        # Addresses of one machine are its own, but for DHCP's.
        "interfaces": [
            {"mac": f"52:54:00:00:00:0{number}", "addresses": list(dict.fromkeys(found))}
            for number, found in enumerate(draw(given_to_cards))
        ],
        "azure": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "sku": words,
                    "hibernation": st.booleans(),
                    "fault_domain": st.integers(0, 255),
                    "data_disks": st.lists(st.builds(dict, name=words), max_size=2),
                    "resource_disk_mib": st.integers(0, 10),
                    "pps_type": st.sampled_from(["None", "Running"]),
                },
            )
        ),
    }
    return json.dumps(described, ensure_ascii=False)


@settings(max_examples=25, deadline=None)
@given(description=descriptions(), extended=st.sampled_from(["", "true"]))
def test_every_part_is_the_same_part_of_the_whole(description: str, extended: str) -> None:
    guest = Guest(description)
    whole = got(guest, INSTANCE, extended=extended)
    assert ("extended" in whole) is bool(extended)
    walked = dict(parts(whole, INSTANCE))
    for path, value in walked.items():
        if isinstance(value, dict | list):
            assert got(guest, path, extended=extended) == value
            listed = text(guest, path, extended=extended).splitlines()
            names = value if isinstance(value, dict) else [str(n) for n in range(len(value))]
            assert [line.rstrip("/") for line in listed] == list(names)
            below = [walked[f"{path}/{quote(name)}"] for name in names]
            assert [line.endswith("/") for line in listed] == [
                isinstance(one, dict | list) for one in below
            ]
        else:
            expected = value if isinstance(value, str) else json.dumps(value)
            assert text(guest, path, extended=extended) == expected
            assert ask(guest, path, extended=extended).status == 400
    data = guest.instance.user_data
    expected_data = data.data if data is not None else b""
    assert b64decode(whole["compute"]["userData"]) == expected_data
    slots = {path for path in guest.snapshot.layout.slots if path.startswith(INSTANCE)}
    assert set(walked) <= slots
    assert all(path.startswith(f"{INSTANCE}/extended") for path in slots - set(walked))


@st.composite
def cased(draw: st.DrawFn, names: st.SearchStrategy[str]) -> str:
    name = draw(names)
    flips = draw(st.integers(0, 2 ** len(name) - 1))
    return "".join(c.upper() if flips >> n & 1 else c for n, c in enumerate(name))


NAMES = st.sampled_from(["api-version", "format", "extended", "x"])
PAIRS = st.lists(
    st.tuples(
        cased(NAMES) | st.just("api-version") | st.text(max_size=5),
        st.sampled_from([*KNOWN, "", "text", "json", "TEXT", "true", "xml"]) | st.text(max_size=9),
    ),
    max_size=5,
)
PLACES = [INSTANCE, f"{INSTANCE}/compute/plan", f"{INSTANCE}/compute/name"]


@settings(max_examples=300, deadline=None)
@given(pairs=PAIRS, path=st.sampled_from(PLACES))
def test_a_query_is_read_as_the_contract_says(
    pairs: list[tuple[str, str]], path: str, full: Guest
) -> None:
    answer = full.ask(f"{path}?{urlencode(pairs)}", headers=SAID)
    names = [name.lower() for name, _ in pairs]
    values = dict(zip(names, (value for _, value in pairs), strict=True))
    form = values.get("format", "").lower() or "json"
    said = refused(answer) if answer.status != 200 else {"error": ""}
    if len(set(names)) < len(names):
        assert "more than once" in said["error"]
    elif values.get("api-version") not in KNOWN:
        assert said == BAD_VERSION
    elif form not in {"json", "text"}:
        assert "format is" in said["error"]
    elif form == "json" and path.endswith("name"):
        assert "format=text only" in said["error"]
    else:
        assert answer.status == 200
        assert header(answer, "Content-Type") == (JSON if form == "json" else TEXT)
        named = b"extended/" in answer.body or b"hasCustomData" in answer.body
        assert named == (path == INSTANCE and values.get("extended", "").lower() == "true")


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200) | st.from_regex(rb"<State>\s*\w{1,40}\s*</State>"))
def test_no_report_breaks_the_wireserver(body: bytes, least: Guest) -> None:
    least.reported = ("", "")
    answer = least.ask(f"{DOOR}/machine?comp=health", "POST", body=body)
    assert answer.status == (200 if least.reported[0] else 400)
    assert re.fullmatch(r"\w{0,32}", least.reported[0])
    least.reported = ("", "")
