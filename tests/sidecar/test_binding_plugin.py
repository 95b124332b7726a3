"""The example of a network binding plugin: its CNI calls, and a server without any right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.sidecar.addresses import DEVICE, METADATA
from emulator.sidecar.ruleset import guard
from tests.sidecar import frames
from tests.sidecar.knocking import ARP, NEIGHBOUR, answers, knocks, told
from tests.sidecar.wire import Wire
from tests.sidecar.world import DOOR, IPV4, IPV6, LINK_LOCAL, folder, get
from tests.support.launcher import NEIGHBOUR_MAC, UPLINK_MAC, Bridge, Guest, Launcher, Masquerade
from tests.support.namespaces import Namespace
from tests.support.sidecar import FS_GROUP, Sidecar

pytestmark = [pytest.mark.namespace, pytest.mark.xdist_group("sidecar")]

EXAMPLE = Path(__file__).parents[2] / "deploy/binding-plugin"
PLUGIN = EXAMPLE / "imds-cni"
INTERFACE = "pod16477688c0e"
UNPRIVILEGED: dict[str, Any] = {"user": 65532, "groups": (FS_GROUP,), "capabilities": ()}


def network(version: str = "1.0.0", **more: str) -> dict[str, str]:
    config = yaml.safe_load((EXAMPLE / "network.yaml").read_text())["spec"]["config"]
    return {**json.loads(config), "cniVersion": version, **more}


def call(pod: Namespace | None, command: str, config: dict[str, str]) -> tuple[int, Any]:
    """Call the plugin as a container runtime does: give its exit status and its answer."""
    environment = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": "c1"}
    prefix: list[str] = []
    if pod is not None:
        environment |= {"CNI_NETNS": f"/proc/{pod.pid}/ns/net", "CNI_IFNAME": INTERFACE}
        prefix = pod.beside()
    done = subprocess.run(
        [*prefix, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), str(PLUGIN)],
        input=json.dumps(config, indent=2),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_it_tells_its_versions() -> None:
    status, answer = call(None, "VERSION", {"cniVersion": "1.0.0"})
    assert status == 0
    assert answer["supportedVersions"][-1] == answer["cniVersion"] == "1.0.0"


@pytest.mark.parametrize(
    ("command", "config", "code"),
    [
        ("ADD", network(), 4),  # no namespace
        ("CHECK", network(), 4),
        ("GROW", network(), 4),
        ("ADD", network("9.0.0"), 1),
        ("ADD", network(door="168.63.129.16 }; accept"), 7),
    ],
)
def test_it_says_what_is_wrong(command: str, config: dict[str, str], code: int) -> None:
    status, answer = call(None, command, config)
    assert (status, answer["code"]) == (1, code)
    assert answer["msg"].startswith("imds-cni: ")


@pytest.mark.parametrize("version", ["0.3.1", "1.0.0"])
def test_a_pod_gets_and_loses_its_plumbing(version: str) -> None:
    config = network(version, door=DOOR)
    with Namespace() as pod:
        before = pod.run("ip", "-details", "address") + pod.run("nft", "list", "ruleset")
        assert call(pod, "CHECK", config)[0] == 1
        status, answer = call(pod, "ADD", config)
        assert (status, answer["cniVersion"]) == (0, version)
        (interface,) = answer["interfaces"]
        assert (interface["name"], interface["mac"]) == (INTERFACE, pod.mac(INTERFACE))
        assert call(pod, "CHECK", config) == (0, None)
        status, answer = call(pod, "ADD", config)
        assert (status, "File exists" in answer["msg"]) == (1, True)
        pod.ip(f"address del {DOOR}/32 dev {DEVICE}")
        assert call(pod, "CHECK", config)[1]["msg"].endswith(f"lacks the address {DOOR}")
        for _ in range(2):
            assert call(pod, "DEL", config) == (0, None)
        assert pod.run("ip", "-details", "address") + pod.run("nft", "list", "ruleset") == before
    assert call(None, "DEL", config) == (0, None)


def test_its_rules_are_the_sidecars() -> None:
    with Namespace() as by_plugin, Namespace() as by_sidecar:
        assert call(by_plugin, "ADD", network(door=DOOR))[0] == 0
        by_sidecar.nft(guard((*METADATA, DOOR), (DEVICE, "k6t-eth0")))
        for table in (("inet", "imds"), ("arp", "imds")):
            rules = [pod.run("nft", "list", "table", *table) for pod in (by_plugin, by_sidecar)]
            assert rules[0] == rules[1]


@pytest.fixture(scope="module")
def pod() -> Iterator[tuple[Launcher, Guest]]:
    """Give a machine as in ``vm.yaml``, with a server that may do nothing.

    The guest's second card is ``eth1``, without any address but a link-local one.
    """
    with folder() as made, Launcher(Masquerade()) as launcher:
        launcher.pod.sysctl(ipv4__ip_unprivileged_port_start=1024)
        assert call(launcher.pod, "ADD", network(door=DOOR))[0] == 0
        arguments = ("--plumbing=none", "--door=wireserver")
        with Sidecar(launcher.pod, made, arguments, **UNPRIVILEGED) as sidecar:
            sidecar.listening()
            launcher.hand_over()
            guest = launcher.boot()
            _second_card(launcher.pod, guest)
            yield launcher, guest


def _second_card(pod: Namespace, guest: Guest) -> None:
    """Do what KubeVirt does for ``managedTap``, and give the guest the card."""
    nic = INTERFACE.removeprefix("pod")
    pod.ip(
        f"link add k6t-{nic} type bridge",
        f"link set k6t-{nic} up",
        f"link set {INTERFACE} down",
        f"link set {INTERFACE} name {nic}-nic",
        f"link set {nic}-nic master k6t-{nic}",
        f"link set {nic}-nic up",
        f"link add tap{nic} type veth peer name eth1 netns {guest.pid}",
        f"link set tap{nic} master k6t-{nic}",
        f"link set tap{nic} up",
    )
    guest.ip("link set eth1 up", "address add 169.254.9.9/16 dev eth1")


def test_a_stock_guest_is_answered_by_its_gateway(pod: tuple[Launcher, Guest]) -> None:
    _, guest = pod
    guest.ip("address del 169.254.9.9/16 dev eth1")
    try:
        for address in (IPV4, IPV6):
            assert get(guest, address)[0] == 200
        assert get(guest, DOOR, "/?comp=versions")[0] == 200
    finally:
        guest.ip("address add 169.254.9.9/16 dev eth1")


def test_and_on_the_cable(pod: tuple[Launcher, Guest]) -> None:
    launcher, guest = pod
    assert get(guest, IPV4, "/v1/identity", "--interface", "eth1")[0] == 200
    assert get(guest, LINK_LOCAL, zone="eth1")[0] == 200
    assert get(launcher.pod, IPV4)[0] == 200


def test_the_cable_leads_nowhere_else(pod: tuple[Launcher, Guest]) -> None:
    launcher, guest = pod
    assert launcher.pod.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    with Wire(launcher.neighbour, "uplink") as uplink, Wire(guest, "eth1") as card:
        mac = guest.mac("eth1")
        lost = frames.attempts(mac, "169.254.9.9", NEIGHBOUR[4], "02:a9:fe:a9:fe:fe")
        card.send(*lost)
        assert get(guest, IPV4, "/v1/identity", "--interface", "eth1")[0] == 200
        assert not any(frames.mentions(frame, "169.254.9.9") for frame in uplink.seen()[0])


@pytest.mark.parametrize("binding", [Masquerade(), Bridge()], ids=["masquerade", "bridge"])
def test_neighbours_get_nothing(binding: Masquerade | Bridge) -> None:
    with folder() as made, Launcher(binding) as launcher:
        assert call(launcher.pod, "ADD", network(door=DOOR))[0] == 0
        arguments = ("--plumbing=none", "--door=wireserver")
        with Sidecar(launcher.pod, made, arguments, **UNPRIVILEGED).listening():
            launcher.hand_over()
            launcher.boot()
            macs = {frames.BROADCAST, UPLINK_MAC, launcher.pod.mac("k6t-eth0")}
            with Wire(launcher.neighbour, "uplink") as uplink:
                on_link = {4: "169.254.9.9", 6: "fe80::858:aff:fef4:101"}
                for own in (NEIGHBOUR, on_link):
                    every = list(knocks(NEIGHBOUR_MAC, own, sorted(macs)))
                    uplink.send(*every, *(frames.tagged(frame, 0, 0) for frame in every))
                uplink.send(frames.arp(NEIGHBOUR_MAC, NEIGHBOUR[4], "10.244.1.5"))
                assert told(answers(uplink, ARP)) == []


def test_the_objects_belong_together() -> None:
    kubevirt, network_, machine = (
        yaml.safe_load((EXAMPLE / name).read_text())
        for name in ("kubevirt.yaml", "network.yaml", "vm.yaml")
    )
    plugins = kubevirt["spec"]["configuration"]["network"]["binding"]
    spec = machine["spec"]["template"]["spec"]
    bound = [each for each in spec["domain"]["devices"]["interfaces"] if "binding" in each]
    assert [each["binding"]["name"] for each in bound] == list(plugins)
    plugged = {each["name"]: each.get("multus") for each in spec["networks"]}
    assert plugged[bound[0]["name"]] == {"networkName": network_["metadata"]["name"]}
    assert network()["type"] == PLUGIN.name


def test_the_script_is_plain() -> None:
    checker = shutil.which("shellcheck", path=Path(sys.executable).parent)
    assert checker
    subprocess.run([checker, "--shell=sh", "--severity=style", PLUGIN], check=True)
