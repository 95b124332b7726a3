"""Nobody outside the pod reaches the server, and nothing of it shows there."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.sidecar import frames
from tests.sidecar.knocking import ARP, IP, NEIGHBOUR, answers, knocks, told
from tests.sidecar.wire import Wire
from tests.sidecar.world import CABLE_MAC, DOOR, IPV4, IPV6, LINK_LOCAL, OURS, World, get, world
from tests.support.launcher import NEIGHBOUR_MAC, UPLINK_MAC, Bridge, Masquerade

pytestmark = [pytest.mark.namespace, pytest.mark.xdist_group("sidecar")]

BINDINGS: dict[str, Masquerade | Bridge] = {
    "masquerade, all ports": Masquerade(),
    "masquerade, a port": Masquerade(ports=(80,)),
    "bridge": Bridge(),
}
# A program in the pod that insists on our addresses, and on another way out.
INSISTENT = f"""
import contextlib, socket, sys
for device in sys.argv[1:]:
    for source, target in (("{IPV4}", "{NEIGHBOUR[4]}"), ("{IPV6}", "{NEIGHBOUR[6]}")):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as own, contextlib.suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            own.bind((source, 0))
            own.sendto(b"", (target, 9))
"""
CARD = "0a:58:0a:f4:01:05"


@pytest.fixture(scope="module", params=BINDINGS)
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(BINDINGS[request.param]) as made:
        yield made


def test_a_neighbour_gets_nothing(here: World) -> None:
    pod = here.launcher.pod
    macs = {frames.BROADCAST, UPLINK_MAC, CABLE_MAC, pod.mac("k6t-eth0"), pod.mac("tap0")}
    with Wire(here.launcher.neighbour, "uplink") as uplink:
        every = list(knocks(NEIGHBOUR_MAC, NEIGHBOUR, sorted(macs)))
        uplink.send(*every, *(frames.tagged(frame, 0, 0) for frame in every))
        # What comes after all that is answered: so all that has been seen to.
        uplink.send(frames.arp(NEIGHBOUR_MAC, NEIGHBOUR[4], "10.244.1.5"))
        uplink.send(frames.arp(NEIGHBOUR_MAC, NEIGHBOUR[4], "10.244.1.5"))
        came = answers(uplink, ARP)
    assert any(frames.mentions(frame, "10.244.1.5") for frame in came)
    assert told(came) == []


def test_the_same_frames_of_the_guest_are_answered(here: World) -> None:
    own = {4: "169.254.7.9", 6: "fe80::858:aff:fef4:105"}
    here.guest.ip("address add 169.254.7.9/32 dev eth0")
    with Wire(here.guest, "eth0") as card:
        card.send(*knocks(CARD, own, [frames.BROADCAST]))
        came = answers(card, ARP)
        assert get(here.guest, IPV6)[0] == 200
        came += card.seen()[0]
    for address in OURS:
        assert any(frames.mentions(frame, address) for frame in told(came)), address
        assert any(frames.is_tcp(frame, address) for frame in came), address


def test_routes_through_the_pod_lead_nowhere(here: World) -> None:
    beside = here.launcher.neighbour
    beside.ip(
        *(f"route add {address} via 10.244.1.5" for address in (IPV4, DOOR)),
        f"route add {IPV6} via fd00:10:244:1::5",
    )
    for address in (IPV4, IPV6, DOOR):
        status = beside.run(
            *("curl", "--silent", "--globoff", "--max-time", "0.3"),
            f"http://[{address}]/" if ":" in address else f"http://{address}/",
            *("--write-out", "%{http_code}"),
            check=False,
        )
        assert status == "000"


def test_nothing_of_ours_leaves_by_the_uplink(here: World) -> None:
    pod, guest = here.launcher.pod, here.guest
    with Wire(here.launcher.neighbour, "uplink") as uplink:
        # A bridge that forgets at once floods everything.
        pod.ip("link set k6t-eth0 type bridge ageing_time 0")
        guest.ip("address replace 169.254.7.7/16 dev eth0")
        for _ in range(2):
            guest.ip("neigh flush dev eth0")
            pod.ip("neigh flush dev imds0")
            for address in (IPV4, IPV6, LINK_LOCAL, DOOR):
                assert get(guest, address)[0] in {200, 404}
            here.restart()
        with Wire(guest, "eth0") as card:
            card.send(*knocks(CARD, {4: "10.244.1.5", 6: "fd00:10:244:1::5"}, [UPLINK_MAC]))
            # A guest that says it were the server.
            pretended = {4: IPV4, 6: LINK_LOCAL}
            beside = [frames.BROADCAST, NEIGHBOUR_MAC, pod.mac("k6t-eth0")]
            lies = [
                frames.arp(CARD, IPV4, NEIGHBOUR[4]),
                frames.arp(CARD, IPV4, IPV4, operation=2),
                *(frames.advertise(CARD, address) for address in (IPV6, LINK_LOCAL)),
            ]
            for mac in beside:
                lies += frames.attempts(CARD, pretended[4], NEIGHBOUR[4], mac)
                lies += frames.attempts(CARD, pretended[6], NEIGHBOUR[6], mac)
            card.send(*lies)
            # Whoever gets these takes off all tags that have the number 0.
            for kind in (0x8100, 0x88A8):
                for tags in ((0,), (0, 0), (0, 0, 0)):
                    card.send(*(frames.tagged(frame, *tags, kind=kind) for frame in lies))
        pod.run(sys.executable, "-c", INSISTENT, "eth0", "k6t-eth0")
        guest.run("bash", "-c", "echo > /dev/udp/10.244.1.1/9")
        came = answers(uplink, IP)
    assert any(frames.mentions(frame, NEIGHBOUR[4]) for frame in came)
    assert told(came) == []


def test_the_pod_passes_nothing_on_in_the_servers_name(here: World) -> None:
    pod = here.launcher.pod
    bridged = isinstance(here.launcher.binding, Bridge)
    mac = pod.mac("k6t-eth0") if bridged else UPLINK_MAC
    with Wire(here.guest, "eth0") as card, Wire(here.launcher.neighbour, "uplink") as uplink:
        for wanted in ("10.0.2.2", "10.244.1.5", "203.0.113.9"):
            uplink.send(*frames.attempts(NEIGHBOUR_MAC, IPV4, wanted, mac))
        for wanted in ("fd10:0:2::2", "fd00:10:244:1::5", "2001:db8::9"):
            uplink.send(*frames.attempts(NEIGHBOUR_MAC, IPV6, wanted, mac))
        # What comes after all that arrives: so all that has been seen to.
        uplink.send(frames.attempts(NEIGHBOUR_MAC, NEIGHBOUR[4], "10.244.1.5", UPLINK_MAC)[2])
        came = answers(card, IP)
    assert [frame for frame in came if frames.packed(IPV6) in frame] == []
    assert [frame for frame in came if frame[26:30] == frames.packed(IPV4)] == []


def test_a_pretender_outside_does_not_win_the_guest(here: World) -> None:
    with Wire(here.launcher.neighbour, "uplink") as uplink:
        uplink.send(
            *(frames.arp(NEIGHBOUR_MAC, IPV4, "10.244.1.5", operation=n) for n in (1, 2)),
            *(frames.arp(NEIGHBOUR_MAC, IPV4, IPV4, operation=n) for n in (1, 2)),
        )
        assert get(here.guest, IPV4)[0] == 200
