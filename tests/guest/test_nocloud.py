"""NoCloud on Debian 12, told by SMBIOS, from the disk's own boot loader under UEFI."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.boot.sockets import serving, sockets, tcp_listeners
from tests.guest.conftest import Machine
from tests.guest.support import KEY, USER_DATA, VENDOR_DATA, claims, complaints, indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator.boot.images.cache import Image


# The guest is let out, but into a network that ends at this loopback, where a file server listens:
# what the guest finds there proves that it reaches the loopback, and what it does not find is not
# there.
PORT = 8000
ALONE = f"""\
ip link set lo up
cd /var/empty 2> /dev/null || cd /
{sys.executable} -m http.server --bind 127.0.0.1 {PORT} > /dev/null 2>&1 &
server=$!
cd "$OLDPWD"
"$@"
status=$?
kill $server
exit $status
"""
FETCH = f'  - "curl -sS -m 20 -I http://169.254.1.1:{PORT}/ > /srv/loopback"\n'
DESCRIPTION = f"""\
name: seed-1
namespace: field
public_keys:
  ada: {KEY}
interfaces:
  - mac: 52:54:00:bb:00:01
user_data: |
{indented(USER_DATA.replace("runcmd:", "runcmd:" + chr(10) + FETCH.rstrip()))}vendor_data: |
{indented(VENDOR_DATA)}dialects: {{nocloud: on, kubevirt: on}}
"""


class Watch(threading.Thread):
    """Looks, while a boot goes on, at what its server listens on."""

    def __init__(self, description: Path) -> None:
        super().__init__(daemon=True)
        self.held: set[str] = set()
        self.listening: set[str] = set()
        self._description = str(description)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            for pid in serving(self._description):
                with contextlib.suppress(OSError):
                    self.held |= sockets(pid)
                    self.listening |= tcp_listeners(pid)

    def stop(self) -> None:
        self._over.set()
        self.join()


class Boot:
    """The boot, and the disk after it."""

    def __init__(self, machine: Machine) -> None:
        machine.describe(DESCRIPTION)
        self.watch = Watch(machine.description)
        self.watch.start()
        alone = ("unshare", "--net", "sh", "-c", ALONE, "sh")
        self.report = machine.boot("nocloud", "--network", "internet", within=alone)
        self.watch.stop()
        self.disk = machine.disk("disk")


@pytest.fixture
def boot(image: Image, tmp_path: Path) -> Iterator[Boot]:
    machine = Machine(image, tmp_path, "seed-1")
    yield Boot(machine)
    machine.close()


def check_it_boots_by_its_own_loader(boot: Boot) -> None:
    assert "firmware starts" in boot.report.progress
    assert "kernel 6.1" in boot.report.progress


def check_it_finds_its_datasource_and_finishes(boot: Boot) -> None:
    assert (boot.report.exit, boot.report.said["outcome"]) == (0, "done"), boot.report
    assert boot.report.said["datasource"] == "DataSourceNoCloudNet"
    assert "status: done" in boot.disk.text("/srv/status")
    assert boot.disk.json("/var/lib/cloud/data/result.json")["v1"]["errors"] == []


def check_smbios_alone_told_it(boot: Boot) -> None:
    _, found = boot.disk.text("/srv/ds-identify.log").split("Found single datasource:")
    assert found.split()[0] == "NoCloud"


def check_cloud_init_complains_of_nothing(boot: Boot) -> None:
    assert complaints(boot.disk.text("/var/log/cloud-init.log")) == []
    assert boot.report.said["errors"] == []


def check_it_asks_for_each_document_once(boot: Boot) -> None:
    cloud_init = [
        (request["path"], request["status"])
        for request in boot.report.said["requests"]
        if request["user_agent"].startswith("Cloud-Init")
    ]
    # This release does not ask for the network over HTTP (contract 2.1).
    assert cloud_init == [
        ("/nocloud/meta-data", 200),
        ("/nocloud/user-data", 200),
        ("/nocloud/vendor-data", 200),
    ]


def check_host_name_and_keys_are_set(boot: Boot) -> None:
    assert boot.disk.text("/etc/hostname").strip() == "seed-1"
    assert KEY in boot.disk.text("/home/debian/.ssh/authorized_keys")


def check_vendor_data_is_merged_with_user_data(boot: Boot) -> None:
    assert boot.disk.text("/srv/vendor") == "from vendor data\n"
    assert len(boot.disk.text("/srv/ran").splitlines()) == 1


def check_the_guest_fetches_its_token(boot: Boot) -> None:
    token = claims(boot.disk.json("/srv/token.json")["token"])
    assert token["sub"] == "system:serviceaccount:field:default"
    assert token["kubernetes.io"]["namespace"] == "field"
    assert boot.disk.json("/srv/refused.json")["error"] == "missing_header"


def check_the_guest_reaches_the_hosts_loopback(boot: Boot) -> None:
    assert boot.disk.text("/srv/loopback").startswith("HTTP/1.0 200 OK")


def check_the_server_is_on_no_tcp_port(boot: Boot) -> None:
    assert boot.watch.held
    assert boot.watch.listening == set()


def check_the_guest_does_not_reach_the_operator(boot: Boot) -> None:
    results = boot.disk.text("/srv/operator").split()
    assert len(results) == 2
    assert "0" not in results


@pytest.mark.guest
@pytest.mark.namespace
def test_nocloud_on_debian_12(boot: Boot, subtests: pytest.Subtests) -> None:
    for check in (
        check_it_boots_by_its_own_loader,
        check_it_finds_its_datasource_and_finishes,
        check_smbios_alone_told_it,
        check_cloud_init_complains_of_nothing,
        check_it_asks_for_each_document_once,
        check_host_name_and_keys_are_set,
        check_vendor_data_is_merged_with_user_data,
        check_the_guest_fetches_its_token,
        check_the_guest_reaches_the_hosts_loopback,
        check_the_server_is_on_no_tcp_port,
        check_the_guest_does_not_reach_the_operator,
    ):
        with subtests.test(check.__name__):
            check(boot)
