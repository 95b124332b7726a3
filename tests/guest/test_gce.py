"""GCE on Debian 12, told by SMBIOS and found by its name, which our network answers for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.conftest import Machine
from tests.guest.support import KEY, USER_DATA, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image


HOST = "metadata.google.internal"
TREE = "/computeMetadata/v1"
HOST_KEY = f"{TREE}/instance/guest-attributes/hostkeys/ssh-ed25519"
ASKS = f"""\
  - "curl -sm 20 -H 'Metadata-Flavor: Google' http://{HOST}{HOST_KEY} > /srv/hostkey"
  - "getent ahostsv4 {HOST} > /srv/resolved"
  - "timeout 20 getent ahostsv4 nowhere.example; echo $? > /srv/nowhere"
"""
DESCRIPTION = f"""\
name: web-1
hostname: web-1.shop.example
public_keys:
  ada: {KEY}
interfaces:
  - mac: 52:54:00:aa:00:01
    addresses: [dhcp4]
meta: {{enable-guest-attributes: "TRUE"}}
user_data: |
{indented(USER_DATA + ASKS)}dialects: {{gce: on, kubevirt: on}}
"""

# Before the network is up nothing resolves a name; Google's own images have it in /etc/hosts.
TOO_EARLY = f'DataSourceGCE.py[WARNING]: address "http://{HOST}{TREE}/" is not resolvable'


class Boot:
    """The boot, and the disk after it."""

    def __init__(self, machine: Machine) -> None:
        machine.describe(DESCRIPTION)
        self.report = machine.boot("gce", *machine.direct())
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
    assert boot.report.said["datasource"] == "DataSourceGCE"
    assert "status: done" in boot.disk.text("/srv/status")
    assert boot.disk.json("/var/lib/cloud/data/result.json")["v1"]["errors"] == []


def check_smbios_alone_told_it(boot: Boot) -> None:
    _, found = boot.disk.text("/srv/ds-identify.log").split("Found single datasource:")
    assert found.split()[0] == "GCE"


def check_cloud_init_complains_of_nothing_that_is_ours(boot: Boot) -> None:
    assert [line for line in complaints(boot.log) if TOO_EARLY not in line] == []
    assert boot.report.said["errors"] == []


def check_every_request_is_answered_at_the_first_try(boot: Boot) -> None:
    asked = [(request["method"], request["path"], request["status"]) for request in boot.asked()]
    documents = ("id", "zone", "hostname", "attributes")
    paths = [f"{TREE}/instance/{name}" for name in documents] + [f"{TREE}/project/attributes"]
    assert asked == [*(("GET", path, 200) for path in paths), ("PUT", HOST_KEY, 200)]
    assert "Please wait" not in boot.log


def check_the_machine_is_as_described(boot: Boot) -> None:
    # cloud-init takes the short name of Google's.
    assert boot.disk.text("/etc/hostname").strip() == "web-1"
    assert KEY in boot.disk.text("/home/debian/.ssh/authorized_keys")
    assert len(boot.disk.text("/srv/ran").splitlines()) == 1
    assert boot.disk.text("/var/lib/cloud/data/instance-id").strip().isdigit()


def check_names_are_answered_for_by_our_network(boot: Boot) -> None:
    resolved = boot.disk.text("/srv/resolved").split()
    assert resolved[0] == "169.254.169.254"
    assert boot.disk.text("/srv/nowhere").strip() == "2"


def check_host_keys_arrive(boot: Boot) -> None:
    kind, key = boot.disk.text("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    assert kind == "ssh-ed25519"
    assert boot.disk.text("/srv/hostkey").strip() == key


def check_the_guest_does_not_reach_the_operator(boot: Boot) -> None:
    results = boot.disk.text("/srv/operator").split()
    assert len(results) == 2
    assert "0" not in results


@pytest.mark.guest
def test_gce_on_debian_12(boot: Boot, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_finds_its_datasource_and_finishes,
        check_smbios_alone_told_it,
        check_cloud_init_complains_of_nothing_that_is_ours,
        check_every_request_is_answered_at_the_first_try,
        check_the_machine_is_as_described,
        check_names_are_answered_for_by_our_network,
        check_host_keys_arrive,
        check_the_guest_does_not_reach_the_operator,
    ):
        with subtests.test(check.__name__):
            check(boot)
