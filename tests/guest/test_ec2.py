"""EC2 on Debian 12, told by SMBIOS: tokens required by AWS's identity, and a cloud without any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.guest.conftest import Machine
from tests.guest.support import KEY, USER_DATA, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image


URL = "http://169.254.169.254/latest/meta-data/"
ASKS = f"""\
  - "curl -sm 20 -o /dev/null -w '%{{http_code}}' {URL} > /srv/v1"
"""
# cloud-init's network of EC2 is DHCP on the cards that the tree names.
REST = """\
hostname: web-1.shop.example
public_keys:
  ada: {key}
interfaces:
  - mac: 52:54:00:aa:00:01
    addresses: [dhcp4]
tags: {{team: shop}}
user_data: |
{user_data}dialects: {dialects}
"""


def description(name: str, dialects: str) -> str:
    rest = REST.format(key=KEY, user_data=indented(USER_DATA + ASKS), dialects=dialects)
    return f"name: {name}\n{rest}"


class Boot:
    """One boot, the class of cloud-init that it should find, and the disk after it."""

    def __init__(self, machine: Machine, datasource: str, *flags: str) -> None:
        self.datasource = datasource
        self.report = machine.boot("ec2", *machine.direct(), *flags)
        self.disk = machine.disk("disk")

    def asked(self) -> list[dict[str, Any]]:
        """Give cloud-init's own requests; its reader of EC2's tree does not say whose it is."""
        requests: list[dict[str, Any]] = self.report.said["requests"]
        agents = ("Cloud-Init", "python-requests")
        return [request for request in requests if request["user_agent"].startswith(agents)]


@pytest.fixture
def strict(image: Image, tmp_path: Path) -> Iterator[Boot]:
    machine = Machine(image, tmp_path, "web-1")
    machine.describe(description("web-1", "{ec2: {tokens: required, hop_limit: 1}, kubevirt: on}"))
    yield Boot(machine, "DataSourceEc2Local")
    machine.close()


@pytest.fixture
def lenient(image: Image, tmp_path: Path) -> Iterator[Boot]:
    machine = Machine(image, tmp_path, "web-2")
    machine.describe(description("web-2", "{ec2: {tokens: optional}, kubevirt: on}"))
    # Only AWS's own identity is looked for before the network is up.
    yield Boot(machine, "DataSourceEc2", "--smbios", "serial=web-2.brightbox.com")
    machine.close()


def check_it_finds_its_datasource_and_finishes(boot: Boot) -> None:
    assert (boot.report.exit, boot.report.said["outcome"]) == (0, "done"), boot.report
    assert boot.report.said["datasource"] == boot.datasource
    assert "status: done" in boot.disk.text("/srv/status")
    assert boot.disk.json("/var/lib/cloud/data/result.json")["v1"]["errors"] == []
    _, found = boot.disk.text("/srv/ds-identify.log").split("Found single datasource:")
    assert found.split()[0] == "Ec2"


def check_cloud_init_complains_of_nothing(boot: Boot) -> None:
    assert complaints(boot.disk.text("/var/log/cloud-init.log")) == []
    assert boot.report.said["errors"] == []


def check_the_machine_is_as_described(boot: Boot) -> None:
    assert boot.disk.text("/etc/hostname").strip() == "web-1"
    assert KEY in boot.disk.text("/home/debian/.ssh/authorized_keys")
    assert len(boot.disk.text("/srv/ran").splitlines()) == 1
    assert boot.disk.text("/var/lib/cloud/data/instance-id").startswith("i-")
    links = {link["address"]: link for link in boot.disk.json("/srv/address.json")}
    addresses = [address["family"] for address in links["52:54:00:aa:00:01"]["addr_info"]]
    assert "inet" in addresses


def check_every_request_has_a_token_and_an_answer(boot: Boot) -> None:
    asked = boot.asked()
    puts = [request for request in asked if request["method"] == "PUT"]
    assert [request["path"] for request in puts] == ["/latest/api/token"]
    assert asked[0] == puts[0]
    # Without a token each of the others would have been 401.
    assert [request for request in asked if request["status"] != 200] == []
    assert "/2021-03-23/meta-data/tags/instance/team" in [request["path"] for request in asked]


def check_no_request_without_a_token_is_answered(boot: Boot) -> None:
    assert boot.disk.text("/srv/v1") == "401"


def check_no_token_is_asked_for(boot: Boot) -> None:
    asked = boot.asked()
    assert {request["method"] for request in asked} == {"GET"}
    assert asked[0]["path"] == "/2009-04-04/meta-data/instance-id"
    assert [request for request in asked if request["status"] != 200] == []
    assert boot.disk.text("/srv/v1") == "200"


COMMON = (
    check_it_finds_its_datasource_and_finishes,
    check_cloud_init_complains_of_nothing,
    check_the_machine_is_as_described,
)


@pytest.mark.guest
def test_ec2_with_tokens_required_on_debian_12(strict: Boot, subtests: pytest.Subtests) -> None:
    own = (
        check_every_request_has_a_token_and_an_answer,
        check_no_request_without_a_token_is_answered,
    )
    for check in (*COMMON, *own):
        with subtests.test(check.__name__):
            check(strict)


@pytest.mark.guest
def test_a_cloud_like_ec2_without_tokens_on_debian_12(
    lenient: Boot, subtests: pytest.Subtests
) -> None:
    for check in (*COMMON, check_no_token_is_asked_for):
        with subtests.test(check.__name__):
            check(lenient)
