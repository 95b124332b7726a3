"""NoCloud on Debian 12, told by SMBIOS, from the disk's own boot loader under UEFI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guest.conftest import Disk, Machine, Report
from tests.guest.support import KEY, USER_DATA, VENDOR_DATA, claims, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.boot.images.cache import Image

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("guest-nocloud")]

DESCRIPTION = f"""\
name: seed-1
namespace: field
public_keys:
  ada: {KEY}
interfaces:
  - mac: 52:54:00:bb:00:01
user_data: |
{indented(USER_DATA)}vendor_data: |
{indented(VENDOR_DATA)}dialects: {{nocloud: on, kubevirt: on}}
"""


class Boot:
    """The boot, and the disk after it."""

    def __init__(self, machine: Machine) -> None:
        machine.describe(DESCRIPTION)
        self.report = machine.boot("nocloud")
        self.disk = machine.disk("disk")


@pytest.fixture(scope="module")
def boot(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    machine = Machine(image, tmp_path_factory.mktemp("nocloud"), "seed-1")
    yield Boot(machine)
    machine.close()


@pytest.fixture
def disk(boot: Boot) -> Disk:
    return boot.disk


@pytest.fixture
def report(boot: Boot) -> Report:
    return boot.report


def test_it_boots_by_its_own_loader(report: Report) -> None:
    assert "firmware starts" in report.progress
    assert "kernel 6.1" in report.progress


def test_it_finds_its_datasource_and_finishes(report: Report, disk: Disk) -> None:
    assert (report.exit, report.said["outcome"]) == (0, "done"), report
    assert report.said["datasource"] == "DataSourceNoCloudNet"
    assert "status: done" in disk.text("/srv/status")
    assert disk.json("/var/lib/cloud/data/result.json")["v1"]["errors"] == []


def test_smbios_alone_told_it(disk: Disk) -> None:
    assert "NoCloud" in disk.text("/srv/ds-identify.log").split("Found single datasource:")[1]


def test_cloud_init_complains_of_nothing(report: Report, disk: Disk) -> None:
    assert complaints(disk.text("/var/log/cloud-init.log")) == []
    assert report.said["errors"] == []


def test_it_asks_for_each_document_once(report: Report) -> None:
    cloud_init = [
        (request["path"], request["status"])
        for request in report.said["requests"]
        if request["user_agent"].startswith("Cloud-Init")
    ]
    # This release does not ask for the network over HTTP (contract 2.1).
    assert cloud_init == [
        ("/nocloud/meta-data", 200),
        ("/nocloud/user-data", 200),
        ("/nocloud/vendor-data", 200),
    ]


def test_host_name_and_keys_are_set(disk: Disk) -> None:
    assert disk.text("/etc/hostname").strip() == "seed-1"
    assert KEY in disk.text("/home/debian/.ssh/authorized_keys")


def test_vendor_data_is_merged_with_user_data(disk: Disk) -> None:
    assert disk.text("/srv/vendor") == "from vendor data\n"
    assert len(disk.text("/srv/ran").splitlines()) == 1


def test_the_guest_fetches_its_token(disk: Disk) -> None:
    token = claims(disk.json("/srv/token.json")["token"])
    assert token["sub"] == "system:serviceaccount:field:default"
    assert token["kubernetes.io"]["namespace"] == "field"
    assert disk.json("/srv/refused.json")["error"] == "missing_header"


def test_the_guest_does_not_reach_the_operator(disk: Disk) -> None:
    results = disk.text("/srv/operator").split()
    assert len(results) == 2
    assert "0" not in results
