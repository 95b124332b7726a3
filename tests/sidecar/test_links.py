"""What plumbing leaves in the pod, and what it says when it cannot be done."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from emulator.errors import StartError
from emulator.sidecar.links import Links
from tests.support.launcher import Launcher, Masquerade

pytestmark = pytest.mark.namespace

PLUMB = """
import json, sys
from emulator.errors import StartError
from emulator.sidecar.addresses import METADATA
from emulator.sidecar.bridges import choose
from emulator.sidecar.links import Links
with Links() as links:
    way = choose(links.all(), "", settled=True)
    try:
        print(json.dumps(links.plumb(way, (*METADATA, *sys.argv[1:]))))
    except StartError as error:
        print(json.dumps(str(error)))
"""
DOOR = "168.63.129.16"


def plumbed(launcher: Launcher, *addresses: str, prefix: tuple[str, ...] = ()) -> Any:
    """Plumb the pod as the sidecar does; give the addresses that it has, or what is wrong."""
    return json.loads(launcher.pod.run(*prefix, sys.executable, "-c", PLUMB, *addresses))


@pytest.mark.parametrize("mtu", [1400, 9000])
def test_the_device_is_as_large_as_the_tap(mtu: int) -> None:
    with Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        launcher.pod.ip(f"link set tap0 mtu {mtu}")
        for _ in range(2):
            assert plumbed(launcher, DOOR)[-1] == DOOR
        shown = json.loads(launcher.pod.run("ip", "-json", "link"))
        assert {link["mtu"] for link in shown if link["ifname"].startswith("imds")} == {mtu}
        # A machine that was given another network card: the tap is another one.
        launcher.pod.ip("link set tap0 mtu 1300")
        plumbed(launcher)
        shown = json.loads(launcher.pod.run("ip", "-json", "link", "show", "imds0"))
        assert shown[0]["mtu"] == 1300


def test_local_addresses_come_after_ours() -> None:
    with Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        for _ in range(3):
            plumbed(launcher, DOOR)
        for family, ours in (("-4", 2), ("-6", 2)):
            rules = launcher.pod.run("ip", family, "rule").splitlines()
            numbers = [line.partition(":")[0] for line in rules]
            assert numbers == [*["100"] * ours, "101", "32766", *["32767"] * (family == "-4")]
            assert rules[ours].endswith("lookup local")


def test_nothing_of_the_pod_chooses_our_addresses() -> None:
    with Launcher(Masquerade()) as launcher:
        before = launcher.pod.run("ip", "-4", "route", "get", "8.8.8.8")
        # A network on which the pod has no address.
        launcher.pod.ip("link add bare type bridge", "link set bare up")
        launcher.pod.ip("route add 192.0.2.0/24 dev bare")
        bare = launcher.pod.run("ip", "-4", "route", "get", "192.0.2.1")
        before6 = launcher.pod.run("ip", "-6", "route", "get", "2001:db8::1")
        launcher.hand_over()
        plumbed(launcher, DOOR)
        assert launcher.pod.run("ip", "-4", "route", "get", "8.8.8.8") == before
        assert launcher.pod.run("ip", "-4", "route", "get", "192.0.2.1") == bare
        assert launcher.pod.run("ip", "-6", "route", "get", "2001:db8::1") == before6
        addresses = json.loads(launcher.pod.run("ip", "-json", "address", "show", "imds0"))
        for each in addresses[0]["addr_info"]:
            assert each["family"] == "inet" or each["preferred_life_time"] == 0
        assert "addr_info" not in launcher.pod.run("ip", "-json", "-6", "address", "show", "imds1")


def test_a_pod_without_ipv6_gets_the_rest() -> None:
    with Launcher(Masquerade(), ipv6=False) as launcher:
        launcher.hand_over()
        assert plumbed(launcher, DOOR) == ["169.254.169.254", DOOR]
        assert "imds0" not in launcher.pod.run("ip", "-6", "route", "show", "table", "all")


def test_a_right_that_is_missing_is_named() -> None:
    with Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        without = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-all")
        said = plumbed(launcher, prefix=without)
        assert said == (
            "cannot make the device imds0: Operation not permitted; "
            "the container needs the capability NET_ADMIN"
        )


def test_a_device_of_somebody_elses_is_left_alone() -> None:
    with Launcher(Masquerade()) as launcher:
        launcher.hand_over()
        launcher.pod.ip("link add imds0 type bridge")
        assert plumbed(launcher) == "the pod has an imds0 of somebody else's"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    with pytest.raises(StartError, match=r"pip install 'imds-emulator\[network\]'"):
        Links()
