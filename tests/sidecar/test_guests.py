"""Whom the sidecar serves: guests of every binding, programs in the pod, and nobody's expense."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from subprocess import DEVNULL, PIPE

import pytest

from tests.sidecar import frames
from tests.sidecar.knocking import told
from tests.sidecar.wire import Wire
from tests.sidecar.world import (
    ARGUMENTS,
    CABLE_MAC,
    DOOR,
    IPV4,
    IPV6,
    LINK_LOCAL,
    World,
    folder,
    get,
    world,
)
from tests.support.launcher import NEIGHBOUR_MAC, UPLINK_MAC, Bridge, Launcher, Masquerade
from tests.support.namespaces import Namespace, output

pytestmark = [pytest.mark.namespace, pytest.mark.xdist_group("sidecar")]

WORLDS: dict[str, tuple[Masquerade | Bridge, int]] = {
    "masquerade, all ports": (Masquerade(), 1),
    "masquerade, a port": (Masquerade(ports=(80,)), 2),
    "bridge": (Bridge(), 1),
}


VERSIONS = ("-4", "-6")

SERVER = """
import http.server, sys
server = http.server.HTTPServer(("", int(sys.argv[1])), http.server.BaseHTTPRequestHandler)
print("there", flush=True)
server.serve_forever()
"""

MESH = """
table inet mesh {
  chain prerouting {
    type nat hook prerouting priority -101;
    meta l4proto tcp redirect to :15006
  }
  chain output {
    type nat hook output priority -101;
    meta l4proto tcp redirect to :15001
  }
}
"""


@pytest.fixture(scope="module", params=WORLDS)
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    binding, rp_filter = WORLDS[request.param]
    with world(binding, rp_filter=rp_filter) as made:
        yield made


@pytest.mark.parametrize("address", [IPV4, IPV6, LINK_LOCAL])
def test_the_guest_is_answered(here: World, address: str) -> None:
    status, body = get(here.guest, address)
    assert (status, '"vmName":"vm1"' in body) == (200, True)


@pytest.mark.parametrize("address", [IPV4, IPV6, LINK_LOCAL])
def test_so_are_programs_in_the_pod(here: World, address: str) -> None:
    assert get(here.launcher.pod, address, zone="imds0")[0] == 200


def test_even_those_that_insist_on_loopback(here: World) -> None:
    pod = here.launcher.pod
    assert get(pod, IPV4, "/v1/identity", "--interface", "host!127.0.0.1")[0] == 200


def test_a_door_has_an_address_of_its_own(here: World) -> None:
    versions = get(here.guest, DOOR, "/?comp=versions")
    assert (versions[0], "2015-04-05" in versions[1]) == (200, True)
    assert get(here.guest, IPV4, "/?comp=versions")[1] != versions[1]
    # What is not of that door is not there.
    assert get(here.guest, DOOR)[0] == 404


def test_the_guest_goes_on_talking_to_others(here: World) -> None:
    with Wire(here.launcher.neighbour, "uplink") as uplink:
        here.guest.run("bash", "-c", "echo > /dev/udp/10.244.1.1/9")
        came = [frame for frame in uplink.seen()[0] if frames.mentions(frame, "10.244.1.1")]
    assert any(frames.mentions(frame, "10.244.1.5") for frame in came)


def test_large_documents_arrive_whole(here: World) -> None:
    text = "#cloud-config\n" + "".join(f"# {n:030}\n" for n in range(60_000))
    secrets = here.volumes / "podinfo" / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "user-data").write_text(text)
    here.restart()
    status, body = get(here.guest, IPV4, "/openstack/latest/user_data")
    assert status == 200
    assert hashlib.sha256(body.encode()).digest() == hashlib.sha256(text.encode()).digest()


def test_a_restart_changes_nothing(here: World) -> None:
    def state() -> list[str]:
        run = here.launcher.pod.run
        commands = (
            ("ip", "-details", "link", "show", "imds0"),
            ("ip", "address"),
            ("ip", "rule"),
            ("ip", "-6", "rule"),
            ("ip", "route", "show", "table", "all"),
            ("ip", "-6", "route", "show", "table", "all"),
        )
        rules = run("nft", "--stateless", "list", "ruleset")
        # The addresses that the guest has asked from: they age.
        rules = re.sub(r"\s+elements = \{[^}]*\}", "", rules)
        tables = ("\n" + rules).split("\ntable ")
        return [*sorted(map(str.strip, tables)), *(run(*command) for command in commands)]

    before = state()
    for _ in range(2):
        here.restart()
        assert get(here.guest, IPV4)[0] == 200
        assert get(here.guest, IPV6)[0] == 200
    assert state() == before


def test_another_interface_takes_nothing_away(here: World) -> None:
    # KubeVirt sets all bridges up anew when one is plugged in, addresses and all.
    here.launcher.plug_in_another()
    for address in (IPV4, IPV6, LINK_LOCAL):
        assert get(here.guest, address)[0] == 200


def test_a_guest_of_many_addresses_is_at_nobodys_expense(here: World) -> None:
    # All pods of a node share the kernel's table of neighbours.
    pod, mac = here.launcher.pod, "0a:58:0a:f4:01:05"
    # What other tests left there is of rules that a restart has replaced.
    pod.ip("neigh flush dev imds0")
    assert {get(here.guest, address)[0] for address in (IPV4, IPV6)} == {200}
    beside = here.launcher.neighbour
    with Wire(here.guest, "eth0") as card, Wire(beside, "uplink") as uplink:
        for n in range(1, 200):
            v4, v6 = f"203.0.113.{n}", f"2001:db8::{n:x}"
            card.send(*frames.attempts(mac, v4, IPV4, frames.BROADCAST))
            card.send(frames.arp(mac, f"198.51.100.{n}", IPV4))
            card.send(*frames.attempts(mac, v6, IPV6, CABLE_MAC))
            card.send(frames.solicit(mac, f"fe80::{n:x}", LINK_LOCAL))
        # The address that it had before goes on being served.
        assert {get(here.guest, address)[0] for address in (IPV4, IPV6)} == {200}
        # What is not answered does not go elsewhere.
        assert told(uplink.seen()[0]) == []
    known = [len(pod.run("ip", v, "neigh", "show", "dev", "imds0").splitlines()) for v in VERSIONS]
    assert all(1 <= count <= 64 for count in known), known
    here.restart()


@pytest.mark.parametrize("announced", [1, 2])
def test_however_the_node_announces_addresses(here: World, announced: int) -> None:
    # IPv4's settings of the node are those that its pods begin with.
    pod = here.launcher.pod
    pod.sysctl(ipv4__conf__all__arp_announce=announced)
    try:
        pod.ip("neigh flush dev imds0")
        assert get(here.guest, IPV4)[0] == 200
        assert get(here.guest, DOOR, "/?comp=versions")[0] == 200
    finally:
        pod.sysctl(ipv4__conf__all__arp_announce=0)


def test_what_the_guest_knows_of_its_gateway_does_not_matter(here: World) -> None:
    before = here.guest.run("ip", "neigh")
    for address in (*here.launcher.GATEWAYS, "10.0.2.1", "fd10:0:2::1"):
        stale = f"neigh replace {address} lladdr 02:00:00:00:00:77 nud permanent dev eth0"
        here.guest.run("ip", *stale.split())
    try:
        assert "02:00:00:00:00:77" not in before
        assert get(here.guest, IPV4)[0] == 200
        assert get(here.guest, IPV6)[0] == 200
    finally:
        here.guest.run("ip", "neigh", "flush", "dev", "eth0", "nud", "permanent")


@pytest.mark.parametrize("address", [IPV4, IPV6])
def test_hop_limits_act(here: World, address: str) -> None:
    flags = ("--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 60")
    with Wire(here.guest, "eth0") as card:
        assert get(here.guest, address, "/latest/api/token", *flags)[0] == 200
        tokens = [frame for frame in card.seen()[0] if frames.is_tcp(frame, address)]
    with_data = [frame for frame in tokens if b"HTTP/1.1 200" in frame]
    assert [frames.hops(frame) for frame in with_data] == [1]


def test_other_ports_are_refused_at_once(here: World) -> None:
    # Whatever listens in the pod on all addresses is not for the guest.
    pod = here.launcher.pod
    with pod.start(sys.executable, "-c", SERVER, "8080", stdout=PIPE, stderr=DEVNULL) as other:
        try:
            assert output(other).readline() == "there\n"
            assert get(pod, f"{IPV4}:8080")[0] == 501
            for port in (8080, 443):
                said = here.guest.run(
                    *("curl", "--silent", "--max-time", "5", "--write-out", "%{errormsg}"),
                    f"http://{IPV4}:{port}/",
                    check=False,
                )
                assert "Couldn't connect" in said
        finally:
            other.kill()


def test_no_translation_of_the_pod_leads_elsewhere(here: World) -> None:
    # As a service mesh has it: everything that comes or goes is its proxy's.
    pod = here.launcher.pod
    pod.nft(MESH)
    try:
        assert get(pod, "10.244.1.1")[0] == 0
        for address in (IPV4, IPV6, LINK_LOCAL):
            assert get(here.guest, address)[0] == 200
            assert get(pod, address, zone="imds0")[0] == 200
    finally:
        pod.nft("delete table inet mesh")


SPY = """
table inet spy {
  chain prerouting {
    type filter hook prerouting priority -400;
    iifname "k6t-abc" tcp dport 80 counter
  }
  chain input {
    type filter hook input priority -1;
    iifname "k6t-abc" tcp dport 15006 counter
  }
}
"""


def test_no_proxy_of_the_pod_asks_for_others(here: World) -> None:
    # Who is on another network of the machine sends the mesh's proxy to our addresses.
    pod = here.launcher.pod
    with Namespace() as other:
        pod.ip(
            f"link add k6t-abc address {NEIGHBOUR_MAC} type bridge",
            f"link add abc-nic type veth peer name eth0 netns {other.pid}",
            "address add 169.254.75.11/32 dev k6t-abc",
            "link set abc-nic master k6t-abc",
            *(f"link set {link} up" for link in ("abc-nic", "k6t-abc")),
        )
        other.ip("link set eth0 up")
        pod.nft(MESH + SPY)
        try:
            with Wire(other, "eth0") as outside:
                for own, address in (("10.244.1.1", IPV4), ("fe80::99", IPV6)):
                    tries = frames.attempts(UPLINK_MAC, own, address, NEIGHBOUR_MAC)
                    outside.send(*tries)
                outside.seen()
            spied = pod.run("nft", "list", "table", "inet", "spy")
            assert re.findall(r"counter packets (\d+)", spied) == ["2", "0"]
        finally:
            pod.nft("delete table inet mesh; delete table inet spy")
            pod.ip("link del k6t-abc")


def test_a_guest_cannot_change_the_pods_routes(here: World) -> None:
    pod = here.launcher.pod
    source = "fe80::858:aff:fef4:105"
    advert = frames.advertise_router("0a:58:0a:f4:01:05", source, LINK_LOCAL, CABLE_MAC)
    pod.run("sh", "-c", "echo 2 > /proc/sys/net/ipv6/conf/imds0/accept_ra")

    def believed() -> bool:
        with Wire(here.guest, "eth0") as card:
            card.send(advert)
        assert get(here.guest, LINK_LOCAL)[0] == 200  # it has been seen to
        return source in pod.run("ip", "-6", "route")

    assert not believed()
    # It would have been, but for the guard.
    guard = pod.run("nft", "list", "table", "inet", "imds")
    pod.nft("delete table inet imds")
    assert believed()
    pod.nft(guard)
    pod.ip(f"route del default via inet6 {source} dev imds0")


def test_another_network_keeps_its_own_metadata(here: World) -> None:
    pod, guest = here.launcher.pod, here.guest
    with Namespace() as other:
        pod.ip(
            "link add k6t-abc type bridge",
            f"link add abc-nic type veth peer name eth0 netns {other.pid}",
            f"link add tapabc type veth peer name eth1 netns {guest.pid}",
            *(f"link set {port} master k6t-abc" for port in ("abc-nic", "tapabc")),
            *(f"link set {link} up" for link in ("abc-nic", "tapabc", "k6t-abc")),
        )
        other.ip(f"address add {IPV4}/16 dev eth0", "link set eth0 up")
        guest.ip("address add 169.254.8.8/16 dev eth1", "link set eth1 up")
        server = (sys.executable, "-c", SERVER, "80")
        with other.start(*server, stdout=PIPE, stderr=DEVNULL) as serving:
            try:
                assert output(serving).readline() == "there\n"
                there = get(guest, IPV4, "/v1/identity", "--interface", "eth1")
            finally:
                serving.kill()
        assert there[0] == 501
        assert get(guest, IPV4, "/v1/identity", "--interface", "eth0")[0] == 200
    pod.ip("link del k6t-abc")


@pytest.mark.parametrize("rp_filter", [0, 2], ids=["none", "loose"])
def test_however_the_pod_checks_sources(rp_filter: int) -> None:
    with world(Bridge(), rp_filter=rp_filter) as made:
        for address in (IPV4, IPV6, LINK_LOCAL):
            assert get(made.guest, address)[0] == 200


@pytest.mark.parametrize("binding", [Masquerade(), Bridge()], ids=["masquerade", "bridge"])
def test_a_guest_without_dhcp_asks_on_its_link(binding: Masquerade | Bridge) -> None:
    with world(binding, addressed=False, rp_filter=1) as made:
        assert get(made.guest, IPV4)[0] == 200
        assert get(made.guest, LINK_LOCAL)[0] == 200


def test_a_machine_on_other_networks_only_is_served() -> None:
    with folder() as made, Launcher(Bridge(), network="pod16477688c0e") as launcher:
        launcher.hand_over()
        with launcher.sidecar(made, *ARGUMENTS) as sidecar:
            sidecar.listening()
            guest = launcher.boot()
            assert "tap16477688c0e on k6t-16477688c0e" in sidecar.says("guest behind")
            assert get(guest, IPV4)[0] == 200


def test_without_ipv6_in_the_pod_the_rest_is_served() -> None:
    with world(Bridge(), ipv6=False, rp_filter=1) as made:
        said = made.sidecar.says("guest behind")
        assert ("fd00" not in said, DOOR in said) == (True, True)
        assert get(made.guest, IPV4)[0] == 200
        assert get(made.launcher.pod, IPV4)[0] == 200


def test_a_bridge_that_is_named_is_waited_for() -> None:
    with (
        folder() as made,
        Launcher(Masquerade()) as launcher,
        launcher.sidecar(made, "--bridge=br-vm") as sidecar,
    ):
        launcher.hand_over()
        sidecar.waiting()
        launcher.pod.ip(
            "link add br-vm type bridge",
            "link add tap9 type veth peer name other",
            "link set tap9 master br-vm",
            "link set br-vm up",
        )
        assert "tap9 on br-vm" in sidecar.says("guest behind")
