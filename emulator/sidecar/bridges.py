"""Which of the pod's links leads to the guest: a decision from what is there."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PRIMARY = "k6t-eth0"
"""The bridge that KubeVirt makes for the pod's own network."""

_BRIDGES = "k6t-"
_TAPS = "tap"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the pod: ``master`` is the bridge's index that it is a port of, 0 for none.

    ``kind`` is the kernel's word (``bridge``, ``veth``), empty for what has none; ``up`` is
    whether it was switched on, whatever is plugged in; ``mtu`` is in bytes.
    """

    index: int
    name: str
    kind: str = ""
    up: bool = False
    master: int = 0
    mtu: int = 1500


class Way(msgspec.Struct, frozen=True):
    """The way to the guest: its ``tap``, a port of ``bridge``."""

    bridge: str
    tap: Link


def choose(links: Iterable[Link], wanted: str, *, settled: bool) -> Way | None:
    """Give the way by the bridge ``wanted``, or by the best one if it is empty; None as yet.

    That of the pod's own network is best. Without it, when nothing has changed for a while
    (``settled``), the first by name of the others: a machine on other networks only. A bridge
    counts once its tap is there and it is up: KubeVirt has then finished with it.
    """
    ways = {way.bridge: way for way in _ways(tuple(links), wanted or _BRIDGES)}
    if wanted or PRIMARY in ways:
        return ways.get(wanted or PRIMARY)
    return ways[min(ways)] if settled and ways else None


def missing(links: Iterable[Link], wanted: str) -> str:
    """Say what is there instead of a way to the guest."""
    there = ", ".join(
        f"{link.name} ({link.kind or 'hardware'}{'' if link.up else ', down'})"
        for link in sorted(links, key=lambda link: link.name)
        if link.name != "lo"
    )
    return (
        f"no bridge {wanted or PRIMARY} with a tap yet; links of the pod: {there or 'none'}. "
        "KubeVirt makes it when all other containers are ready. Bindings without a bridge "
        "(SR-IOV, passt, macvtap) cannot be served: give the machine an interface with masquerade "
        "or bridge binding"
    )


def _ways(links: tuple[Link, ...], prefix: str) -> Iterable[Way]:
    taps = sorted(
        (link for link in links if link.master and link.name.startswith(_TAPS)),
        key=lambda link: link.name,
        reverse=True,
    )
    # A bridge of KubeVirt has one; of several the first by name remains.
    by_bridge = {tap.master: tap for tap in taps}
    for link in links:
        if link.kind == "bridge" and link.up and link.name.startswith(prefix):
            tap = by_bridge.get(link.index)
            if tap is not None:
                yield Way(link.name, tap)
