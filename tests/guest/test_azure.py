"""Azure on Debian 12, told by SMBIOS: metadata, and a wireserver at an address of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.conftest import Machine
from tests.guest.support import KEY, USER_DATA, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image


UUID = "5b1f8a3e-3e4f-4d6e-9a55-1f0e2d3c4b5a"
MAC = "52:54:00:aa:00:01"
# The wireserver's documents are at its own address only, and the operator's are at neither.
ASKS = """\
  - "curl -sm 20 -o /dev/null -w '%{http_code}' http://168.63.129.16/?comp=versions > /srv/wire"
  - "curl -sm 20 -o /dev/null -w '%{http_code}' http://169.254.169.254/machine > /srv/other"
  - "curl -sm 5 http://168.63.129.16:16926/readyz; echo $? >> /srv/operator"
"""
DESCRIPTION = f"""\
name: web-1
hostname: web-1.shop.example
uuid: {UUID}
public_keys:
  ada: {KEY}
interfaces:
  - mac: {MAC}
    addresses: [dhcp4]
user_data: |
{indented(USER_DATA + ASKS)}azure: {{admin_username: ada}}
dialects: {{azure: on, kubevirt: on}}
"""


class Boot:
    """The boot, and the disk after it."""

    def __init__(self, machine: Machine) -> None:
        machine.describe(DESCRIPTION)
        self.report = machine.boot("azure", *machine.direct())
        self.disk = machine.disk("disk")
        self.log = self.disk.text("/var/log/cloud-init.log")

    def asked(self) -> list[dict[str, Any]]:
        """Give cloud-init's own requests."""
        requests: list[dict[str, Any]] = self.report.said["requests"]
        return [request for request in requests if request["user_agent"].startswith("Cloud-Init")]


@pytest.fixture
def boot(image: Image, tmp_path: Path) -> Iterator[Boot]:
    machine = Machine(image, tmp_path, "web-1")
    yield Boot(machine)
    machine.close()


def check_it_finds_its_datasource_and_finishes(boot: Boot) -> None:
    assert (boot.report.exit, boot.report.said["outcome"]) == (0, "done"), boot.report
    assert boot.report.said["datasource"] == "DataSourceAzure"
    assert "status: done" in boot.disk.text("/srv/status")
    assert boot.disk.json("/var/lib/cloud/data/result.json")["v1"]["errors"] == []


def check_smbios_alone_told_it(boot: Boot) -> None:
    _, found = boot.disk.text("/srv/ds-identify.log").split("Found single datasource:")
    assert found.split()[0] == "Azure"


def check_cloud_init_complains_of_nothing(boot: Boot) -> None:
    assert complaints(boot.log) == []
    assert boot.report.said["errors"] == []


def check_it_reports_ready_and_every_request_is_answered_at_the_first_try(boot: Boot) -> None:
    asked = [(request["method"], request["path"], request["status"]) for request in boot.asked()]
    assert asked == [
        ("GET", "/metadata/instance", 200),
        ("GET", "wireserver:/machine", 200),
        ("POST", "wireserver:/machine", 200),
    ]
    for words in ("Please wait", "retry", "Retry"):
        assert words not in boot.log


def check_the_machine_is_as_described(boot: Boot) -> None:
    assert boot.disk.text("/etc/hostname").strip() == "web-1"
    assert KEY in boot.disk.text("/home/ada/.ssh/authorized_keys")
    assert boot.disk.names("/home") == {"ada"}
    assert len(boot.disk.text("/srv/ran").splitlines()) == 1
    assert boot.disk.text("/var/lib/cloud/data/instance-id").strip() == UUID


def check_its_network_is_dhcp(boot: Boot) -> None:
    config = boot.disk.text("/etc/netplan/50-cloud-init.yaml")
    assert "dhcp4: true" in config
    links = {link["address"]: link for link in boot.disk.json("/srv/address.json")}
    assert links[MAC]["ifname"] == "eth0"
    addresses = [address["local"] for address in links[MAC]["addr_info"]]
    assert "169.254.100.2" in addresses


def check_the_wireserver_is_at_its_own_address_only(boot: Boot) -> None:
    assert boot.disk.text("/srv/wire") == "200"
    assert boot.disk.text("/srv/other") == "404"


def check_the_guest_does_not_reach_the_operator(boot: Boot) -> None:
    results = boot.disk.text("/srv/operator").split()
    assert len(results) == 3
    assert "0" not in results


@pytest.mark.guest
def test_azure_on_debian_12(boot: Boot, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_finds_its_datasource_and_finishes,
        check_smbios_alone_told_it,
        check_cloud_init_complains_of_nothing,
        check_it_reports_ready_and_every_request_is_answered_at_the_first_try,
        check_the_machine_is_as_described,
        check_its_network_is_dhcp,
        check_the_wireserver_is_at_its_own_address_only,
        check_the_guest_does_not_reach_the_operator,
    ):
        with subtests.test(check.__name__):
            check(boot)
