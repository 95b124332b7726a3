"""Which bridge is the guest's, decided from links as they may be."""

from __future__ import annotations

import pytest

from emulator.sidecar.bridges import Link, choose, missing

ETH0 = Link(index=2, name="eth0", kind="veth", up=True)


def bridge(index: int, name: str, *, up: bool = True) -> Link:
    return Link(index=index, name=name, kind="bridge", up=up)


def tap(index: int, name: str, master: int) -> Link:
    return Link(index=index, name=name, kind="tun", up=True, master=master)


PRIMARY = (bridge(3, "k6t-eth0"), tap(4, "tap0", 3))
SECOND = (bridge(5, "k6t-1647"), tap(6, "tap1647", 5))
THIRD = (bridge(7, "k6t-0abc"), tap(8, "tap0abc", 7))


@pytest.mark.parametrize(
    ("links", "wanted", "settled", "chosen"),
    [
        ((ETH0,), "", True, None),
        # KubeVirt is not ready with it: no tap, one of another bridge, or not switched on.
        ((ETH0, PRIMARY[0]), "", True, None),
        ((PRIMARY[0], tap(4, "tap0", 9)), "", True, None),
        ((bridge(3, "k6t-eth0", up=False), PRIMARY[1]), "", True, None),
        # What is called so but is no bridge, and a bridge of somebody else's.
        ((Link(index=3, name="k6t-eth0", kind="veth", up=True), PRIMARY[1]), "", True, None),
        ((bridge(3, "br0"), PRIMARY[1]), "", True, None),
        # A port that is not the guest's.
        ((PRIMARY[0], tap(4, "eth0-nic", 3)), "", True, None),
        ((ETH0, *PRIMARY), "", False, "k6t-eth0"),
        ((*SECOND, *PRIMARY), "", False, "k6t-eth0"),
        # Others only when it is clear that there will be none.
        (SECOND, "", False, None),
        (SECOND, "", True, "k6t-1647"),
        ((*SECOND, *THIRD), "", True, "k6t-0abc"),
        ((*PRIMARY, *SECOND), "k6t-1647", False, "k6t-1647"),
        (PRIMARY, "br0", True, None),
        ((bridge(3, "br0"), PRIMARY[1]), "br0", False, "br0"),
    ],
)  # fmt: skip
def test_the_guests_bridge_is_chosen(
    links: tuple[Link, ...], wanted: str, settled: object, chosen: str | None
) -> None:
    way = choose(links, wanted, settled=bool(settled))
    assert (way.bridge if way else None) == chosen
    if way is not None:
        assert way.tap.master == next(link.index for link in links if link.name == chosen)


def test_of_several_taps_the_first_by_name_is_the_guests() -> None:
    way = choose((PRIMARY[0], tap(5, "tap9", 3), tap(4, "tap0", 3)), "", settled=False)
    assert way is not None
    assert way.tap.name == "tap0"


def test_what_is_there_instead_is_told() -> None:
    lo = Link(index=1, name="lo", up=True)
    said = missing((ETH0, lo, bridge(3, "k6t-eth0", up=False)), "")
    assert "no bridge k6t-eth0 with a tap yet" in said
    assert "links of the pod: eth0 (veth), k6t-eth0 (bridge, down)." in said
    assert "SR-IOV, passt, macvtap" in said
    assert "no bridge br0 with a tap yet; links of the pod: none." in missing((lo,), "br0")
    assert "vf (hardware)" in missing((Link(index=2, name="vf", up=True),), "")
