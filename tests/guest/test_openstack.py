"""OpenStack on Debian 12, told by SMBIOS: three boots of one disk, each looked at afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guest.conftest import Disk, Machine, Report
from tests.guest.support import KEY, USER_DATA, VENDOR_DATA, claims, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.boot.images.cache import Image

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("guest-openstack")]

UUID = "0e7d5c1a-5c0f-4b6e-8d0a-3f1b2c4d5e6f"
OTHER = "1f8e6d2b-6d1f-4c7f-9e1b-4a2c3d5e6f70"


def description(uuid: str) -> str:
    # The first link is static with a router of its own: the metadata address lies behind it.
    return f"""\
name: web-1
namespace: shop
hostname: web-1.shop.example
uuid: {uuid}
service_account: web
public_keys:
  ada: {KEY}
interfaces:
  - mac: 52:54:00:aa:00:01
    addresses: [10.0.0.5/24]
    gateways: [10.0.0.1]
    dns: [10.0.0.3]
  - mac: 52:54:00:aa:00:02
    mtu: 1400
    addresses: [10.20.0.5/24]
    routes:
      - to: 10.30.0.0/16
        via: 10.20.0.1
user_data: |
{indented(USER_DATA)}vendor_data: |
{indented(VENDOR_DATA)}dialects: {{openstack: on, kubevirt: on}}
"""


class Boots:
    """The three boots, and the disk after each of interest."""

    def __init__(self, machine: Machine) -> None:
        machine.describe(description(UUID))
        self.first = machine.boot("openstack", *machine.direct())
        self.disk = machine.disk("first")
        self.second = machine.boot("openstack", *machine.direct())
        machine.describe(description(OTHER))
        self.renewed = machine.boot("openstack", *machine.direct())
        self.last = machine.disk("last")


@pytest.fixture(scope="module")
def boots(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boots]:
    machine = Machine(image, tmp_path_factory.mktemp("openstack"), "web-1")
    yield Boots(machine)
    machine.close()


@pytest.fixture
def disk(boots: Boots) -> Disk:
    return boots.disk


@pytest.fixture
def first(boots: Boots) -> Report:
    return boots.first


def test_it_finds_its_datasource_and_finishes(first: Report, disk: Disk) -> None:
    assert (first.exit, first.said["outcome"]) == (0, "done"), first
    assert first.said["datasource"] == "DataSourceOpenStackLocal"
    assert "status: done" in disk.text("/srv/status")
    result = disk.json("/var/lib/cloud/data/result.json")["v1"]
    assert result["errors"] == []
    assert result["datasource"].startswith("DataSourceOpenStackLocal")


def test_smbios_alone_told_it(disk: Disk) -> None:
    assert "OpenStack" in disk.text("/srv/ds-identify.log").split("Found single datasource:")[1]


def test_cloud_init_complains_of_nothing(disk: Disk, first: Report) -> None:
    assert complaints(disk.text("/var/log/cloud-init.log")) == []
    assert first.said["errors"] == []


def test_every_request_is_answered_and_none_is_needless(first: Report) -> None:
    cloud_init = [
        request
        for request in first.said["requests"]
        if request["user_agent"].startswith("Cloud-Init")
    ]
    assert [request for request in cloud_init if request["status"] != 200] == []
    asked = [request["path"] for request in cloud_init]
    # The version list is read to probe and to choose; nothing else is asked for twice.
    assert sorted({path for path in asked if asked.count(path) > 1}) == ["/openstack"]


def test_host_name_and_keys_are_set(disk: Disk) -> None:
    assert disk.text("/etc/hostname").strip() == "web-1"
    assert KEY in disk.text("/home/debian/.ssh/authorized_keys")


def test_the_network_of_both_links_is_as_described(disk: Disk) -> None:
    links = {link["address"]: link for link in disk.json("/srv/address.json")}
    first, second = links["52:54:00:aa:00:01"], links["52:54:00:aa:00:02"]
    assert local(first) == ["10.0.0.5/24"]
    assert local(second) == ["10.20.0.5/24"]
    assert second["mtu"] == 1400
    routes = {
        route["dst"]: (route.get("gateway"), route["dev"])
        for route in disk.json("/srv/route.json")
    }
    assert routes["default"] == ("10.0.0.1", first["ifname"])
    assert routes["10.30.0.0/16"] == ("10.20.0.1", second["ifname"])


def local(link: dict[str, list[dict[str, object]]]) -> list[str]:
    return [
        f"{address['local']}/{address['prefixlen']}"
        for address in link["addr_info"]
        if address["family"] == "inet"
    ]


def test_vendor_data_is_merged_with_user_data(disk: Disk) -> None:
    assert disk.text("/srv/vendor") == "from vendor data\n"
    assert len(disk.text("/srv/ran").splitlines()) == 1


def test_the_guest_fetches_its_token(disk: Disk) -> None:
    token = claims(disk.json("/srv/token.json")["token"])
    assert token["sub"] == "system:serviceaccount:shop:web"
    assert token["kubernetes.io"]["namespace"] == "shop"
    assert token["kubernetes.io"]["serviceaccount"]["name"] == "web"
    assert disk.json("/srv/refused.json")["error"] == "missing_header"


def test_the_guest_does_not_reach_the_operator(disk: Disk) -> None:
    results = disk.text("/srv/operator").split()
    assert len(results) == 2
    assert "0" not in results


def test_a_second_boot_of_the_same_instance_runs_nothing_again(boots: Boots) -> None:
    assert (boots.second.exit, boots.second.said["outcome"]) == (0, "done"), boots.second
    # The UUID that the firmware shows is the one that cloud-init remembers: nothing to ask.
    assert boots.second.paths == []


def test_a_changed_instance_is_set_up_anew(boots: Boots) -> None:
    renewed, disk = boots.renewed, boots.last
    assert (renewed.exit, renewed.said["outcome"]) == (0, "done"), renewed
    assert "/openstack/2018-08-27/meta_data.json" in renewed.paths
    assert len(set(disk.text("/srv/ran").splitlines())) == 2
    assert disk.text("/var/lib/cloud/data/instance-id").strip() == OTHER
    assert disk.text("/var/lib/cloud/data/previous-instance-id").strip() == UUID
