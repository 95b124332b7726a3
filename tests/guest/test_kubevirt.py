"""Two VMs of KubeVirt at once, in pods as it makes them, with what admission put into these.

Each is a guest of Debian 12 on a tap in a network namespace like its pod's. One has masquerade
binding and looks like OpenStack, the other has bridge binding and looks like EC2; their guests
have the same address.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from msgspec.structs import asdict

from emulator.boot.acceleration import accelerate
from emulator.boot.machine import default_cpu
from emulator.boot.qemu import find_qemu
from emulator.observe.audit import read
from tests.guest.conftest import LIMIT, Disk, run, slot
from tests.guest.support import complaints
from tests.sidecar.wire import Wire
from tests.support import dhcp, kubevirt
from tests.support.kubelet import ISSUER, Cluster, Container
from tests.support.launcher import Bridge, Launcher, Masquerade
from tests.support.namespaces import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.boot.images.cache import Image

GUEST = "10.0.2.2/24"
METADATA = bytes([169, 254, 169, 254])
GUEST_MAC = "52:54:00:aa:00:01"

DATASOURCES = {"default": "OpenStack", "aws": "Ec2"}
# Its crawl of EC2's tree does not say who it is.
CLOUD_INIT = ("Cloud-Init", "python-requests")
# It takes DHCP then, which is what is wanted: nobody has said which cards the VM has.
KNOWN = {"default": "no warning", "aws": "[WARNING]: Metadata 'network' key not valid: None."}
# Its crawl of EC2's tree does not say who it is.
CLOUD_INIT = ("Cloud-Init", "python-requests")
# It takes DHCP then, which is what is wanted: nobody has said which cards the VM has.
KNOWN = {"default": "no warning", "aws": "[WARNING]: Metadata 'network' key not valid: None."}
# What nobody wrote: without interfaces the guest asks DHCP, and there is no vendor data.
ABSENT = {"default": {"network_data.json", "vendor_data.json"}, "aws": set[str]()}

USER_DATA = """\
#cloud-config
ssh_genkeytypes: [ed25519]
no_ssh_fingerprints: true
ssh: {emit_keys_to_console: false}
write_files:
  - path: /srv/ask
    permissions: "0755"
    content: |
      #!/bin/sh
      curl -sS -m 20 -H 'Metadata: true' "http://169.254.169.254$1" > "/srv/$2"
runcmd:
  - cp /run/cloud-init/ds-identify.log /srv/
  - ip -json address > /srv/address.json
  - /srv/ask /v1/identity identity.json
  - /srv/ask /v1/token token.json
  - /srv/ask '/v1/token?audience=vault' vault.json
  - /srv/ask '/v1/token?audience=other' other.json
  - /srv/ask /v1/instance instance.json
  - /srv/ask /v1/identity/document document.json
  - "curl -sS -m 9 http://10.0.2.1:8080/ http://10.244.1.1:8080/ > /srv/outside || true"
power_state: {mode: poweroff, condition: true}
"""


def machine(name: str, persona: str, interface: dict[str, Any]) -> dict[str, Any]:
    """Give a VM as its owner writes it: but for ours, with nothing for it."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "runStrategy": "Always",
            "template": {
                "metadata": {
                    "annotations": {
                        "imds.kubevirt.io/enabled": "true",
                        "imds.kubevirt.io/persona": persona,
                        "imds.kubevirt.io/token-audiences": "vault;7200",
                        "imds.kubevirt.io/user-data-secret": "cloud-config",
                        "imds.kubevirt.io/tags": f"role={name}",
                    }
                },
                "spec": {
                    "domain": {"devices": {"interfaces": [{"name": "default", **interface}]}},
                    "networks": [{"name": "default", "pod": {}}],
                },
            },
        },
    }


class Uplink(Launcher):
    """A pod whose network is the one that guests of masquerade binding have."""

    ADDRESSES = (GUEST,)
    GATEWAYS = ("10.0.2.1",)


class Vm:
    """A VM from its manifest to its end."""

    def __init__(
        self, name: str, binding: Masquerade | Bridge, image: Image, cluster: Cluster, folder: Path
    ) -> None:
        self.name = name
        self._image = image
        self._folder = folder / name
        self._folder.mkdir()
        bridged = isinstance(binding, Bridge)
        self.persona = "aws" if bridged else "default"
        interface: dict[str, Any] = {"bridge" if bridged else "masquerade": {}}
        self.made = kubevirt.start(machine(name, self.persona, interface))
        kind = Uplink if bridged else Launcher
        self.launcher = kind(binding, tap=True, ipv6=not bridged)
        self._container = Container(cluster, self.made.pod, self.launcher)
        self._lease = {
            "bridge": self.launcher.bridge,
            "server": "169.254.75.10" if bridged else "10.0.2.1",
            "address": GUEST,
            "router": "10.0.2.1",
            "host": name,
        }
        self.left: list[bytes] = []
        self.requests: list[dict[str, Any]] = []

    def live(self) -> Disk:
        """Go through all steps in a pod's order, to the guest's power-off; give its disk."""
        launcher = self.launcher
        with contextlib.ExitStack() as stack:
            sidecar = stack.enter_context(self._container.start())
            # Every container but compute runs, so KubeVirt makes the network.
            sidecar.waiting()
            launcher.hand_over()
            stack.enter_context(
                self._started(launcher.pod, dhcp.__file__, json.dumps(self._lease))
            )
            stack.enter_context(self._outside())
            sidecar.listening()
            uplink = stack.enter_context(Wire(launcher.neighbour, "uplink"))
            self._boot()
            came, gone = uplink.seen()
            self.left = [*came, *gone]
            sidecar.stop()
            lines = [read(line.encode()) for line in sidecar.lines]
        self.requests = [asdict(line) for line in lines if line is not None]
        return Disk(self._folder / "disk.qcow2", self._folder / "disk")

    @contextlib.contextmanager
    def _started(self, namespace: Any, script: str, argument: str) -> Iterator[None]:
        command = (sys.executable, "-I", "-S", script, argument)
        process = namespace.start(*command, stdout=subprocess.PIPE)
        try:
            assert output(process).readline() == "there\n"
            yield
        finally:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        """Serve a page at the neighbour, which is the pod's gateway."""
        served = self._folder / "outside"
        served.mkdir()
        (served / "index.html").write_text("from outside\n")
        command = (sys.executable, "-I", "-m", "http.server", "-d", str(served), "8080")
        process = self.launcher.neighbour.start(
            *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.kill()
            process.communicate()

    def _boot(self) -> None:
        disk = self._folder / "disk.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self._image.disk,
            str(disk))  # fmt: skip
        qemu = find_qemu()
        acceleration = accelerate(qemu.path)
        command = [
            *("setpriv", "--pdeathsig", "TERM", qemu.path),
            *(
                "-machine",
                f"q35,accel={acceleration}",
                "-cpu",
                default_cpu(acceleration, qemu.version),
            ),
            *("-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config", "-no-reboot"),
            *("-display", "none", "-serial", f"file:{self._folder}/console"),
            *("-kernel", self._image.kernel, "-initrd", self._image.initrd),
            *("-append", self._image.append),
            *("-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={disk}"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *kubevirt.smbios(self.made.instance),
            *("-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=net,mac={GUEST_MAC},romfile="),
        ]
        with slot():
            guest = self.launcher.pod.start(*command, stderr=subprocess.PIPE)
            try:
                _, said = guest.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                guest.kill()
                guest.communicate()
                pytest.fail(f"{self.name} does not end:\n{self.console()}")
        assert guest.returncode == 0, said

    def console(self) -> str:
        return (self._folder / "console").read_text("utf-8", "replace")[-3000:]

    def close(self) -> None:
        self._container.close()
        self.launcher.close()


class Both:
    """The two VMs, and their disks afterwards."""

    def __init__(self, image: Image, folder: Path, key: RSAPrivateKey) -> None:
        self.key = key
        cluster = Cluster(key, {("secret", "cloud-config"): {"userdata": USER_DATA.encode()}})
        self.vms = [
            Vm("web-1", Masquerade(), image, cluster, folder),
            Vm("db-1", Bridge(ipv6=False), image, cluster, folder),
        ]
        with ThreadPoolExecutor(len(self.vms)) as threads:
            self.disks = list(threads.map(Vm.live, self.vms))

    def close(self) -> None:
        for vm in self.vms:
            vm.close()


@pytest.fixture
def both(image: Image, tmp_path: Path) -> Iterator[Both]:
    made = Both(image, tmp_path, generate_private_key(65537, 2048))
    yield made
    made.close()


def check_admission_says_what_a_namespace_must_allow(vm: Vm, _disk: Disk, _key: Any) -> None:
    assert any("NET_ADMIN" in warning for warning in vm.made.warnings)


def check_smbios_tells_it_and_it_finishes(vm: Vm, disk: Disk, _key: Any) -> None:
    _, found = disk.text("/srv/ds-identify.log").split("Found single datasource:")
    source = DATASOURCES[vm.persona]
    assert found.split()[0] == source
    result = disk.json("/var/lib/cloud/data/result.json")["v1"]
    assert result["errors"] == []
    assert result["datasource"].startswith(f"DataSource{source}Local")
    said = complaints(disk.text("/var/log/cloud-init.log"))
    assert [line for line in said if not line.endswith(KNOWN[vm.persona])] == []


def check_every_request_of_cloud_init_is_answered(vm: Vm, _disk: Disk, _key: Any) -> None:
    found = [one for one in vm.requests if one["user_agent"].startswith(CLOUD_INIT)]
    assert len(found) > 10
    absent = [one["path"] for one in found if one["status"] != 200]
    assert {path.rpartition("/")[2] for path in absent} == ABSENT[vm.persona]
    assert {one["vm"] for one in found} == {vm.name}


def check_it_knows_itself_and_the_address_that_dhcp_gave(vm: Vm, disk: Disk, _key: Any) -> None:
    assert disk.text("/etc/hostname").strip() == vm.name
    known = disk.text("/var/lib/cloud/data/instance-id").strip()
    uuid = vm.made.instance["spec"]["domain"]["firmware"]["uuid"]
    assert (known == uuid) if vm.persona == "default" else known.startswith("i-")
    assert disk.json("/srv/instance.json")["uuid"] == uuid
    assert disk.json("/srv/identity.json") == {
        "namespace": "shop",
        "serviceAccountName": "vm-sa",
        "vmName": vm.name,
    }
    assert disk.json("/srv/instance.json")["tags"] == {"role": vm.name}
    links = {link["address"]: link for link in disk.json("/srv/address.json")}
    local = [
        f"{one['local']}/{one['prefixlen']}"
        for one in links[GUEST_MAC]["addr_info"]
        if one["family"] == "inet"
    ]
    assert local == [GUEST]


def check_its_tokens_are_for_whom_it_asked(vm: Vm, disk: Disk, key: RSAPrivateKey) -> None:
    for name, audience, seconds in (("token", ISSUER, 3600), ("vault", "vault", 7200)):
        token = disk.json(f"/srv/{name}.json")["token"]
        claims = jwt.decode(
            token, key.public_key(), algorithms=["RS256"], audience=audience, issuer=ISSUER
        )
        assert claims["sub"] == "system:serviceaccount:shop:vm-sa"
        assert claims["kubernetes.io"]["pod"]["name"] == vm.made.pod["metadata"]["name"]
        assert claims["exp"] - claims["iat"] == seconds
    refused = disk.json("/srv/other.json")
    assert (refused["error"], refused["audiences"]) == ("unknown_audience", ["vault"])


def check_without_keys_nothing_is_attested(vm: Vm, disk: Disk, _key: Any) -> None:
    assert disk.text("/srv/document.json") == "404 page not found\n"


def check_the_guests_other_traffic_goes_its_way(vm: Vm, disk: Disk, _key: Any) -> None:
    assert disk.text("/srv/outside") == "from outside\n"


def check_nothing_of_ours_is_seen_outside(vm: Vm, _disk: Disk, _key: Any) -> None:
    assert len(vm.left) > 5  # the wire sees the guest's other traffic
    assert [frame.hex() for frame in vm.left if METADATA in frame] == []


@pytest.mark.guest
@pytest.mark.namespace
def test_two_vms_of_kubevirt_on_debian_12(both: Both, subtests: pytest.Subtests) -> None:
    for vm, disk in zip(both.vms, both.disks, strict=True):
        for check in (
            check_admission_says_what_a_namespace_must_allow,
            check_smbios_tells_it_and_it_finishes,
            check_every_request_of_cloud_init_is_answered,
            check_it_knows_itself_and_the_address_that_dhcp_gave,
            check_its_tokens_are_for_whom_it_asked,
            check_without_keys_nothing_is_attested,
            check_the_guests_other_traffic_goes_its_way,
            check_nothing_of_ours_is_seen_outside,
        ):
            with subtests.test(check.__name__, vm=vm.name):
                check(vm, disk, both.key)
