"""Waiting for the bridge, with time and links that are made up, and with the kernel's bell."""

from __future__ import annotations

import logging
import sys
from subprocess import PIPE
from typing import cast

import pytest

from emulator.sidecar.bridges import Link
from emulator.sidecar.links import Bell, Links
from emulator.sidecar.waiting import PATIENCE, QUIET, wait
from tests.sidecar.test_bridges import ETH0, PRIMARY, SECOND
from tests.support.namespaces import Namespace, output
from tests.support.ports import FakePorts

Change = tuple[float, tuple[Link, ...]]


class Pod:
    """Links that change at given seconds; who waits for the bell lets time pass."""

    def __init__(self, *changes: Change) -> None:
        self._changes = changes
        self._clock = FakePorts()
        self._clock.now = 0
        self.looks = 0

    @property
    def now(self) -> float:
        return self._clock.now

    def all(self) -> tuple[Link, ...]:
        self.looks += 1
        return [links for moment, links in self._changes if moment <= self.now][-1]

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        end = self.now + seconds
        coming = [moment for moment, _ in self._changes if self.now < moment <= end]
        self._clock.now = min(coming, default=end)
        return bool(coming)

    def chosen(self, wanted: str = "") -> str:
        return wait(cast("Links", self), cast("Bell", self), wanted, self._clock.ports).bridge


def test_it_looks_before_it_waits() -> None:
    pod = Pod((0, PRIMARY))
    assert pod.chosen() == "k6t-eth0"
    assert (pod.now, pod.looks) == (0, 1)


def test_it_waits_as_long_as_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    pod = Pod((0, (ETH0,)), (9000, (ETH0, *PRIMARY)))
    with caplog.at_level(logging.WARNING):
        assert pod.chosen() == "k6t-eth0"
    assert pod.now == 9000
    # Said once, and looked up seldom.
    (record,) = caplog.records
    assert "links of the pod: eth0 (veth)" in record.getMessage()
    assert pod.looks < 9000 / PATIENCE + 5


def test_what_is_there_is_told_again_when_it_is_something_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pod = Pod((0, ()), (70, (ETH0,)), (200, (ETH0, *PRIMARY)))
    with caplog.at_level(logging.WARNING):
        pod.chosen()
    assert ["none" in record.getMessage() for record in caplog.records] == [True, False]


def test_another_bridge_is_taken_when_all_is_quiet() -> None:
    # The pod's own network may come after it.
    assert Pod((0, ()), (5, SECOND), (5.5, (*SECOND, *PRIMARY))).chosen() == "k6t-eth0"
    pod = Pod((0, ()), (5, SECOND))
    assert pod.chosen() == "k6t-1647"
    assert pod.now == 5 + QUIET


def test_a_bridge_that_is_wanted_is_taken_at_once() -> None:
    pod = Pod((0, PRIMARY), (5, (*PRIMARY, *SECOND)))
    assert pod.chosen("k6t-1647") == "k6t-1647"
    assert pod.now == 5


BELL = """
import socket, sys
from emulator.sidecar.links import Bell
with Bell() as bell:
    # As little as the kernel allows.
    bell._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    print(bell.wait(0), flush=True)
    sys.stdin.readline()
    print(bell.wait(30), bell.wait(0), flush=True)
"""


@pytest.mark.namespace
@pytest.mark.parametrize("count", [1, 50])
def test_the_bell_rings_when_links_change(count: int) -> None:
    with (
        Namespace() as pod,
        pod.start(sys.executable, "-c", BELL, stdin=PIPE, stdout=PIPE) as listener,
    ):
        assert output(listener).readline() == "False\n"
        # Of many changes, not all are kept for who does not look.
        pod.ip(*(f"link add br{number} type bridge" for number in range(count)))
        assert listener.stdin is not None
        listener.stdin.write("\n")
        listener.stdin.flush()
        assert output(listener).readline() == "True False\n"
