"""OpenStack on Debian 12, told by SMBIOS: three boots of one disk, each looked at afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guest.conftest import Machine
from tests.guest.support import KEY, USER_DATA, VENDOR_DATA, claims, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image


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


@pytest.fixture
def boots(image: Image, tmp_path: Path) -> Iterator[Boots]:
    machine = Machine(image, tmp_path, "web-1")
    yield Boots(machine)
    machine.close()


def check_it_finds_its_datasource_and_finishes(boots: Boots) -> None:
    assert (boots.first.exit, boots.first.said["outcome"]) == (0, "done"), boots.first
    assert boots.first.said["datasource"] == "DataSourceOpenStackLocal"
    assert "status: done" in boots.disk.text("/srv/status")
    result = boots.disk.json("/var/lib/cloud/data/result.json")["v1"]
    assert result["errors"] == []
    assert result["datasource"].startswith("DataSourceOpenStackLocal")


def check_smbios_alone_told_it(boots: Boots) -> None:
    _, found = boots.disk.text("/srv/ds-identify.log").split("Found single datasource:")
    assert found.split()[0] == "OpenStack"


def check_cloud_init_complains_of_nothing(boots: Boots) -> None:
    assert complaints(boots.disk.text("/var/log/cloud-init.log")) == []
    assert boots.first.said["errors"] == []


def check_every_request_is_answered_and_none_is_needless(boots: Boots) -> None:
    cloud_init = [
        request
        for request in boots.first.said["requests"]
        if request["user_agent"].startswith("Cloud-Init")
    ]
    assert [request for request in cloud_init if request["status"] != 200] == []
    asked = [request["path"] for request in cloud_init]
    # The version list is read to probe and to choose; nothing else is asked for twice.
    assert sorted({path for path in asked if asked.count(path) > 1}) == ["/openstack"]


def check_host_name_and_keys_are_set(boots: Boots) -> None:
    assert boots.disk.text("/etc/hostname").strip() == "web-1"
    assert KEY in boots.disk.text("/home/debian/.ssh/authorized_keys")


def check_the_network_of_both_links_is_as_described(boots: Boots) -> None:
    links = {link["address"]: link for link in boots.disk.json("/srv/address.json")}
    first, second = links["52:54:00:aa:00:01"], links["52:54:00:aa:00:02"]
    assert local(first) == ["10.0.0.5/24"]
    assert local(second) == ["10.20.0.5/24"]
    assert second["mtu"] == 1400
    routes = {
        route["dst"]: (route.get("gateway"), route["dev"])
        for route in boots.disk.json("/srv/route.json")
    }
    assert routes["default"] == ("10.0.0.1", first["ifname"])
    assert routes["10.30.0.0/16"] == ("10.20.0.1", second["ifname"])


def local(link: dict[str, list[dict[str, object]]]) -> list[str]:
    return [
        f"{address['local']}/{address['prefixlen']}"
        for address in link["addr_info"]
        if address["family"] == "inet"
    ]


def check_vendor_data_is_merged_with_user_data(boots: Boots) -> None:
    assert boots.disk.text("/srv/vendor") == "from vendor data\n"
    assert len(boots.disk.text("/srv/ran").splitlines()) == 1


def check_the_guest_fetches_its_token(boots: Boots) -> None:
    token = claims(boots.disk.json("/srv/token.json")["token"])
    assert token["sub"] == "system:serviceaccount:shop:web"
    assert token["kubernetes.io"]["namespace"] == "shop"
    assert token["kubernetes.io"]["serviceaccount"]["name"] == "web"
    assert boots.disk.json("/srv/refused.json")["error"] == "missing_header"


def check_the_guest_does_not_reach_the_operator(boots: Boots) -> None:
    results = boots.disk.text("/srv/operator").split()
    assert len(results) == 2
    assert "0" not in results


def check_a_second_boot_of_the_same_instance_runs_nothing_again(boots: Boots) -> None:
    assert (boots.second.exit, boots.second.said["outcome"]) == (0, "done"), boots.second
    # The UUID that the firmware shows is the one that cloud-init remembers: nothing to ask.
    assert boots.second.paths == []


def check_a_changed_instance_is_set_up_anew(boots: Boots) -> None:
    renewed, disk = boots.renewed, boots.last
    assert (renewed.exit, renewed.said["outcome"]) == (0, "done"), renewed
    assert "/openstack/2018-08-27/meta_data.json" in renewed.paths
    assert len(set(disk.text("/srv/ran").splitlines())) == 2
    assert disk.text("/var/lib/cloud/data/instance-id").strip() == OTHER
    assert disk.names("/var/lib/cloud/instances") == {UUID, OTHER}


@pytest.mark.guest
def test_openstack_on_debian_12(boots: Boots, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_finds_its_datasource_and_finishes,
        check_smbios_alone_told_it,
        check_cloud_init_complains_of_nothing,
        check_every_request_is_answered_and_none_is_needless,
        check_host_name_and_keys_are_set,
        check_the_network_of_both_links_is_as_described,
        check_vendor_data_is_merged_with_user_data,
        check_the_guest_fetches_its_token,
        check_the_guest_does_not_reach_the_operator,
        check_a_second_boot_of_the_same_instance_runs_nothing_again,
        check_a_changed_instance_is_set_up_anew,
    ):
        with subtests.test(check.__name__):
            check(boots)
