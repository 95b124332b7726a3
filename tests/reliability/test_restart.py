"""A server that is killed under load and started again: what its guests lose, and what not."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest, asked
from tests.reliability.load import ASKED, DESCRIPTION, LARGE, TOKEN, TTL, crowd
from tests.reliability.supervised import Supervised
from tests.server.process import until

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 3
GUESTS = 4
WAIT = "/computeMetadata/v1/instance/maintenance-event?wait_for_change=true"
GOOGLE = {"Metadata-Flavor": "Google"}


def described(folder: Path) -> str:
    (folder / "large").write_bytes(b"x" * LARGE)
    (folder / "vm.yaml").write_text(DESCRIPTION)
    return str(folder / "vm.yaml")


@pytest.mark.parametrize("held", [True, False], ids=["sockets held", "sockets lost"])
def test_killed_under_load_it_loses_nothing_that_is_asked_twice(
    tmp_path: Path, *, held: bool
) -> None:
    with Supervised(tmp_path, described(tmp_path), held=held) as supervised:

        def pause() -> None:
            if not held:
                time.sleep(1)
                # A machine may be so busy that a start takes longer: bench/reliability.py tells.
                supervised.there.wait(60)

        with crowd(supervised.url, pause, GUESTS) as tally:
            for _ in range(KILLS):
                # Not while somebody asks for the second time.
                time.sleep(0.3 if held else 1.5)
                supervised.restart()
            time.sleep(0.3)
    counts = tally.counts
    assert (counts["lost"], counts["wrong"]) == (0, 0), tally.notes
    # It really was killed while it answered, and guests went on after.
    assert counts["retried"] + counts["torn"] >= KILLS
    assert counts["asked"] > 10 * GUESTS * len(ASKED)


def test_told_to_end_it_answers_who_has_asked_and_leaves_others_to_the_next(
    tmp_path: Path,
) -> None:
    with Supervised(tmp_path, described(tmp_path), held=True) as supervised:
        url = supervised.url
        with Guest(url) as slow, Guest(url) as waiting, Guest(url) as idle:
            # An answer that is larger than what sockets hold, and one that is due later.
            slow.send("/latest/user-data", **{TOKEN: token(url)})
            waiting.send(WAIT, **GOOGLE)
            until(lambda: supervised.server.metric("imds_waiting_requests") == 1)
            begun = time.monotonic()
            supervised.server.process.send_signal(signal.SIGTERM)
            assert waiting.answer().status == 200
            assert slow.answer().body == b"x" * LARGE
            with pytest.raises(ConnectionError):
                idle.answer()
            assert supervised.server.process.wait(60) == 0
            assert time.monotonic() - begun < 20
        with Guest(url) as late:
            # Nobody listens, but the socket is there.
            late.send("/healthz")
            supervised.restart()
            assert late.answer().body == b"OK"


def test_told_to_end_it_waits_for_no_guest_longer_than_it_should(tmp_path: Path) -> None:
    with Supervised(tmp_path, described(tmp_path), held=False) as supervised:
        url = supervised.url
        with Guest(url) as stalled:
            # It takes nothing of its answers, which are larger than what sockets hold.
            for _ in range(16):
                stalled.send("/latest/user-data", **{TOKEN: token(url)})
            time.sleep(0.3)
            begun = time.monotonic()
            assert supervised.end(signal.SIGTERM) == 0
            # Five seconds are for such a guest, the rest for a busy machine.
            assert 4 < time.monotonic() - begun < 30
            with pytest.raises(ConnectionRefusedError):
                asked(url, "/healthz")


def token(url: str) -> str:
    with Guest(url) as guest:
        return guest.ask("/latest/api/token", "PUT", **TTL).body.decode()
