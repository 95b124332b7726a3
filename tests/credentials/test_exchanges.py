"""``emulator.credentials.exchanges``: whose turn it is, what is kept, what is told of failures.

Exchanges over the time of a machine are in ``test_service.py`` and ``test_access.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emulator.core.credentials import AccessToken
from emulator.credentials import exchanges
from emulator.credentials.exchanges import Exchanges, Wanted
from emulator.errors import CredentialsUnavailable
from tests.credentials.conftest import Bench, wait

TEXTS = PENDING = 16


class Desk:
    """Exchanges of several machines, and what gives tokens for them while ``open`` is set."""

    def __init__(self, bench: Bench, at_once: int = 8) -> None:
        self.bench = bench
        self.told: list[tuple[str, bool]] = []
        self.ends: list[tuple[str, float]] = []
        self.provider = "federated"
        self.exchanges: Exchanges[AccessToken] = Exchanges(
            bench.ports, bench._spawn, at_once, self
        )
        self.open = asyncio.Event()
        self.open.set()
        self.running: list[str] = []
        self.most = 0
        self.asked: list[tuple[str, str]] = []
        self.fails: Exception | None = None

    def refreshed(self, provider: str, /, *, ok: bool) -> None:
        self.told.append((provider, ok))

    def used(self, provider: str, expires: float, /) -> None:
        self.ends.append((provider, expires - self.bench.clock.now))

    async def get(
        self, machine: str, text: str = "", account: str = "account", service: str = ""
    ) -> AccessToken:
        return await self._ask(self.exchanges.kept, machine, text, account, service)

    async def direct(self, machine: str, text: str = "") -> AccessToken:
        return await self._ask(self.exchanges.direct, machine, text, "account")

    async def _ask(
        self, get: Any, machine: str, text: str, account: str, service: str = ""
    ) -> AccessToken:
        async def fetch() -> AccessToken:
            self.asked.append((machine, text))
            self.running.append(machine)
            self.most = max(self.most, len(self.running))
            await self.open.wait()
            self.running.remove(machine)
            if self.fails is not None:
                raise self.fails
            now = self.bench.clock.now
            return AccessToken(f"{machine}/{text}", now, now + 3600)

        about = (f"token of {account}", text, self.provider, service)
        wanted = Wanted(machine, account, machine, *about)
        found: AccessToken = await get(wanted, fetch)
        return found

    async def left(self, machine: str, *texts: str) -> None:
        """Ask for ``texts`` and hang up once all of them have begun."""
        asked = [asyncio.ensure_future(self.get(machine, text)) for text in texts]
        await until(lambda: any(one.done() for one in asked) or machine in self.running)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def until(there: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    async with asyncio.timeout(20):
        while not there():  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0)


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


async def throttled(asked: Awaitable[AccessToken]) -> CredentialsUnavailable:
    with pytest.raises(CredentialsUnavailable) as error:
        # At once, although nothing goes on.
        await asyncio.wait_for(asked, 10)
    return error.value


# ------------------------------------------------------------------------- whose turn it is


def test_a_machine_that_asks_for_everything_leaves_others_their_tokens(desk: Desk) -> None:
    async def main() -> None:
        desk.open.clear()
        await desk.left("greedy", *map(str, range(2000)))
        assert desk.running == ["greedy"]
        other = asyncio.ensure_future(desk.get("other"))
        await until(lambda: "other" in desk.running)
        desk.open.set()
        assert (await other).token == "other/"
        await desk.bench.settled()

    wait(main())
    assert len(desk.asked) == PENDING + 1
    assert desk.most == 2


@pytest.mark.parametrize("direct", [False, True])
def test_what_became_of_each_try_is_told(desk: Desk, *, direct: bool) -> None:
    async def main() -> None:
        get = desk.direct if direct else desk.get
        await get("one")
        desk.fails = CredentialsUnavailable("the service is down")
        with pytest.raises(CredentialsUnavailable):
            await get("one", "other")
        await desk.bench.settled()

    wait(main())
    assert desk.told == [("federated", True), ("federated", False)]


def test_the_end_of_what_is_asked_for_is_told(desk: Desk) -> None:
    """Of what was kept, too, and while nobody gives anything new, and when it has ended."""

    async def main() -> None:
        await desk.get("one")
        desk.fails = CredentialsUnavailable("the service is down")
        desk.bench.clock.advance(3000)
        await desk.get("one")
        desk.bench.clock.advance(601)
        with pytest.raises(CredentialsUnavailable):
            await desk.get("one")
        await desk.bench.settled()

    wait(main())
    assert desk.ends == [("federated", 3600), ("federated", 600), ("federated", -1)]


def test_so_is_that_of_what_is_read_but_not_of_what_is_made(desk: Desk) -> None:
    async def main() -> None:
        desk.provider = "file"
        await desk.direct("one")
        desk.fails = CredentialsUnavailable("too late", ended=desk.bench.clock.now - 7)
        with pytest.raises(CredentialsUnavailable):
            await desk.direct("one")
        desk.fails = CredentialsUnavailable("there is none")
        with pytest.raises(CredentialsUnavailable):
            await desk.direct("one")
        desk.provider, desk.fails = "generated", None
        await desk.direct("one")

    wait(main())
    assert desk.ends == [("file", 3600), ("file", -7)]


def test_exchanges_of_one_machine_run_in_turn(desk: Desk) -> None:
    async def main() -> None:
        asked = [desk.get("one", str(number)) for number in range(5)]
        asked.append(desk.get("one", "0", "another account"))
        assert len(await asyncio.gather(*asked)) == 6

    wait(main())
    assert len(desk.asked) == 6
    assert desk.most == 1


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_run_at_once_than_there_are_slots(bench: Bench, slots: int) -> None:
    desk = Desk(bench, slots)

    async def main() -> None:
        desk.open.clear()
        asked = [asyncio.ensure_future(desk.get(str(number))) for number in range(10)]
        await until(lambda: len(desk.running) == slots)
        desk.open.set()
        await asyncio.gather(*asked)

    wait(main())
    assert desk.most == slots
    assert len(desk.asked) == 10


def test_a_service_that_hangs_keeps_nobody_waiting_but_for_too_many(bench: Bench) -> None:
    desk = Desk(bench, 1)

    async def main() -> None:
        desk.open.clear()
        asked = [
            asyncio.ensure_future(desk.get(str(number), service=str(number)))
            for number in range(exchanges.TOGETHER + 5)
        ]
        await until(lambda: len(desk.running) == exchanges.TOGETHER)
        desk.open.set()
        await asyncio.gather(*asked)

    wait(main())
    assert desk.most == exchanges.TOGETHER


def test_more_is_refused_at_once_and_not_kept(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        desk.open.clear()
        texts = [str(number) for number in range(PENDING)]
        asked = [asyncio.ensure_future(desk.get("one", text)) for text in texts]
        await until(lambda: desk.running == ["one"])
        for account in ("account", "another account"):
            error = await throttled(desk.get("one", "more", account))
            assert (str(error), error.code) == ("too much is asked for at once", "Throttled")
        # What has begun is waited for, by however many.
        again = asyncio.ensure_future(desk.get("one", texts[-1]))
        desk.open.set()
        assert [(await one).token for one in asked] == [f"one/{text}" for text in texts]
        assert await again is await asked[-1]
        assert (await desk.get("one", "more")).token == "one/more"

    wait(main())
    # Nothing was put out for what was refused.
    assert desk.asked == [("one", str(number)) for number in range(PENDING)] + [("one", "more")]
    assert desk.exchanges._queues == {}
    assert caplog.messages == []


def test_a_good_token_is_given_while_too_much_is_asked_for(desk: Desk) -> None:
    async def main() -> None:
        good = await desk.get("one", "good", "another account")
        desk.bench.clock.advance(3000)
        desk.open.clear()
        await desk.left("one", *(str(number) for number in range(PENDING)))
        # It is time for a new one, but there is no room for that.
        assert await desk.get("one", "good", "another account") is good
        desk.bench.clock.advance(601)
        assert (await throttled(desk.get("one", "good", "another account"))).code == "Throttled"
        desk.open.set()
        await desk.bench.settled()

    wait(main())
    assert [text for _, text in desk.asked].count("good") == 1


# ----------------------------------------------------------------------------- what is kept


def test_so_many_texts_are_kept_for_each_account(desk: Desk) -> None:
    async def main() -> None:
        others = [await desk.get("other"), await desk.get("one", "0", "another account")]
        for number in range(TEXTS):
            await desk.get("one", str(number))
        await desk.get("one", "0")
        assert len(desk.asked) == TEXTS + 2
        for number in range(1000):
            # One of a few that are used all the time stays.
            await desk.get("one", "0")
            await desk.get("one", f"new {number}")
        assert len(desk.asked) == TEXTS + 2 + 1000
        for text in ("0", "new 999", f"new {1000 - TEXTS + 1}"):
            await desk.get("one", text)
        assert len(desk.asked) == TEXTS + 2 + 1000
        await desk.get("one", f"new {1000 - TEXTS}")
        await desk.get("one", "1")
        assert len(desk.asked) == TEXTS + 2 + 1002
        # Those of others have stayed.
        assert await desk.get("other") is others[0]
        assert await desk.get("one", "0", "another account") is others[1]

    wait(main())
    assert len(desk.asked) == TEXTS + 2 + 1002


def test_a_machine_does_not_put_out_what_others_have(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "KEPT", 2)
    desk = Desk(bench)

    async def main() -> None:
        first = await desk.get("other")
        for number in range(100):
            await desk.get("one", str(number))
        assert await desk.get("other") is first

    wait(main())


def test_what_needs_no_exchange_leaves_nothing_behind(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    kept = desk.exchanges._known._items

    async def main() -> None:
        for number in range(100):
            await desk.direct("one", str(number))
        assert kept == {}
        desk.fails = CredentialsUnavailable("torn", detail="/a/file")
        for number in range(100):
            with pytest.raises(CredentialsUnavailable):
                await desk.direct("one", str(number))
        assert list(kept) == [("one", "account")]
        assert kept["one", "account"].texts._items == {}
        desk.fails = None
        await desk.direct("one", "any")
        assert kept == {}

    wait(main())
    assert caplog.messages == ["one: no token of account: torn (/a/file)"]


# ------------------------------------------------------------------------- what goes wrong


def test_a_failure_is_logged_once_whatever_the_guest_asks_for(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        desk.fails = CredentialsUnavailable("none")
        for number in range(100):
            with pytest.raises(CredentialsUnavailable):
                await desk.get("one", str(number))
        desk.fails = None
        await desk.get("one", "good")
        desk.fails = CredentialsUnavailable("none")
        with pytest.raises(CredentialsUnavailable):
            await desk.get("one", "bad")

    wait(main())
    assert caplog.messages == ["one: no token of account: none"] * 2


def test_what_nobody_foresaw_is_a_failure_with_its_traceback(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        desk.fails = KeyError("a mistake of ours")
        for _ in range(3):
            with pytest.raises(CredentialsUnavailable) as error:
                await desk.get("one")
            assert (str(error.value), error.value.code, error.value.detail) == (
                "the exchange failed in the server",
                "Failed",
                "KeyError",
            )
            # Before it is time for another try, and after.
            with pytest.raises(CredentialsUnavailable, match="failed in the server"):
                await desk.get("one")
            desk.bench.clock.advance(61)
        desk.fails = None
        assert (await desk.get("one")).token == "one/"

    wait(main())
    assert len(desk.asked) == 4
    [record] = caplog.records
    assert record.message == (
        "one: no token of account: the exchange failed in the server (KeyError)"
    )
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
