"""One machine attacks in every way; another boots meanwhile, and hardly notices.

``bench/reliability.py`` has the figures; where other tests run too, only the worst can be told.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.reliability.attack import KINDS, attacked
from tests.reliability.guests import Guest
from tests.reliability.neighbours import ATTACKER, BOOT, VICTIM, at, boots, neighbours
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 0.6
# Half of the answers take 0.3 ms, and took 10 ms under attack before machines took turns.
SLACK = 4.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with neighbours(tmp_path_factory.mktemp("neighbours")) as serving:
        yield serving


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_attacks_delays_itself_only(server: Serving, kind: str) -> None:
    found = []
    for _ in range(3):
        quiet = at(boots(server.url, SECONDS), 0.5)
        with attacked(kind, server.url, ATTACKER):
            troubled = at(boots(server.url, SECONDS), 0.5)
        # Whoever else uses the processors may do so during one of the two only.
        if troubled < 2 * quiet + SLACK:
            return
        found.append((quiet, troubled))
    pytest.fail(f"milliseconds, quiet and attacked: {found}")


def test_ten_thousand_that_idle_shut_nobody_out(tmp_path: Path) -> None:
    """Of 40 machines, each of which may hold 256 connections; there is room for 1,024."""
    with neighbours(tmp_path, 43) as server, ExitStack() as stack:
        for number in range(4, 44):
            for _ in range(250):
                stack.enter_context(Guest(server.url, f"127.0.0.{number}"))
        until(lambda: server.metric("imds_connections") >= 1000)
        for path in BOOT:
            with Guest(server.url, VICTIM) as guest:
                assert guest.ask(path).status == 200
        assert server.metric("imds_connections") <= 1100


def test_strangers_have_the_places_of_one_machine(server: Serving) -> None:
    """However many addresses they make up: an interface of IPv6 has 2**64."""
    before = server.metric('imds_limit_hits_total{limit="connections_of_vm"}')
    with ExitStack() as stack:
        for number in range(40):
            for _ in range(10):
                stack.enter_context(Guest(server.url, f"127.0.1.{number + 1}"))
        until(
            lambda: (
                server.metric('imds_limit_hits_total{limit="connections_of_vm"}')
                == before + 400 - 256
            )
        )
        until(lambda: server.metric("imds_connections") == 256)
        for path in BOOT:
            with Guest(server.url, VICTIM) as guest:
                assert guest.ask(path).status == 200
