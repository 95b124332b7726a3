"""Machines take turns: one that asks without end delays itself only, and is answered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from emulator.core.bucket import Hits
from emulator.model.config import Limits
from emulator.server import turns
from emulator.server.turns import Turns
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from pathlib import Path

AMPLE = Limits(burst_of_vm=1000, pace_of_vm=1000)


def played(game: Callable[[Turns, list[str]], None], limits: Limits = AMPLE) -> list[str]:
    """Queue what ``game`` wants done, and give what was done, in its order."""
    done: list[str] = []

    async def main() -> None:
        table = Turns(limits, Hits())
        game(table, done)
        over = asyncio.Event()
        for key in "ab":
            table.later(key, lambda: None)
        table.later("a", over.set)
        await asyncio.wait_for(over.wait(), 20)

    asyncio.run(main())
    return done


def test_each_has_one_thing_done_in_a_turn() -> None:
    async def main() -> None:
        table = Turns(AMPLE, Hits())
        assert [table.now(key) for key in "aabba"] == [True, False, True, False, False]
        for _ in range(3):
            await asyncio.sleep(0)
        assert table.now("a")

    asyncio.run(main())


def test_who_waits_for_much_does_not_keep_others_waiting() -> None:
    def game(table: Turns, done: list[str]) -> None:
        for number in range(4):
            table.later("a", partial(done.append, f"a{number}"))
        table.later("b", lambda: done.append("b0"))

    assert played(game) == ["a0", "b0", "a1", "a2", "a3"]


def test_beyond_its_pace_one_waits_and_the_other_does_not() -> None:
    def game(table: Turns, done: list[str]) -> None:
        assert table.now("a")
        for name in "aaaab":
            table.later(name, partial(done.append, name))

    begun = time.monotonic()
    done = played(game, Limits(burst_of_vm=2, pace_of_vm=50))
    assert done == ["a", "b", "a", "a", "a"]
    # With what ends the game, five of them at their pace.
    assert time.monotonic() - begun > 4.5 / 50


def test_what_had_to_wait_for_its_pace_is_counted() -> None:
    hits = Hits()

    async def main() -> None:
        table = Turns(Limits(burst_of_vm=1, pace_of_vm=1), hits)
        assert table.now("a")
        await asyncio.sleep(0.01)
        assert not table.now("a")

    asyncio.run(main())
    assert hits == {"pace_of_vm": 1}


def test_much_that_was_given_counts_as_more() -> None:
    async def main() -> None:
        table = Turns(Limits(burst_of_vm=100, pace_of_vm=1), Hits())
        table.charge("nobody", 1)
        assert table.now("a")
        table.charge("a", 99)
        await asyncio.sleep(0.01)
        assert not table.now("a")

    asyncio.run(main())


def test_what_was_called_off_or_fails_is_nobody_s_loss(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise RuntimeError("of one")

    def game(table: Turns, done: list[str]) -> None:
        table.later("a", lambda: done.append("called off")).cancel()
        table.later("a", fails)
        table.later("a", lambda: done.append("last"))

    assert played(game) == ["last"]
    assert "RuntimeError: of one" in caplog.text


def test_who_has_asked_for_nothing_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_KNOWN", 2)

    async def main() -> None:
        table = Turns(Limits(burst_of_vm=1, pace_of_vm=100), Hits())
        assert table.now("a")
        assert table.now("b")
        await asyncio.sleep(0.05)
        assert table.now("b")
        assert table.now("c")
        assert set(table._accounts) == {"b", "c"}

    asyncio.run(main())


REQUEST = b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: metadata\r\n\r\n"


def test_a_flood_is_answered_in_its_own_time(tmp_path: Path) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    for number in (1, 2):
        text = f"name: vm-{number}\npeer: {{addresses: [127.0.0.{number}]}}\n"
        (folder / f"{number}.yaml").write_text(text)
    with Serving(tmp_path, str(folder)) as server:
        port = int(server.url.rpartition(":")[2])

        def asking(number: int) -> socket.socket:
            address = ("127.0.0.1", port)
            return socket.create_connection(address, 30, (f"127.0.0.{number}", 0))

        with asking(1) as flood, asking(1) as gone, asking(2) as other:
            flood.sendall(REQUEST * 1300)
            gone.sendall(REQUEST)
            gone.close()
            begun = time.monotonic()
            for _ in range(20):
                other.sendall(REQUEST)
                assert b"\r\n\r\nvm-2" in other.recv(1000)
            # It was not the flood's end that it waited for.
            seconds = time.monotonic() - begun
            got = b""
            while got.count(b"vm-1") < 1300:
                got += flood.recv(1 << 16)
            assert seconds < time.monotonic() - begun
        assert server.metric('imds_limit_hits_total{limit="pace_of_vm"}') > 0
        until(lambda: server.metric("imds_connections") == 0)
        # Nor is the one that hung up before its turn waited for in the end.
        assert server.stop() == 0
