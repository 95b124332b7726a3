"""Machines take turns, each at a pace of its own: one that asks without end delays only itself.

In each turn of the event loop a machine is served once. Beyond its pace, what it asks waits, and
its connections with it: what is not read costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from emulator.core.bucket import Hits
from emulator.model.config import Limits

# So many are remembered; of more, those go that would be the same if they were made anew.
_KNOWN = 10_000

_log = logging.getLogger("imds")


class Turn:
    """Something that is due when its turn has come."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], None]) -> None:
        """Have ``work`` done."""
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        """Be passed over."""
        self.work = None


class _Account:
    """What one machine may still ask for, by the loop's time, and what waits."""

    __slots__ = ("credit", "queue", "since", "turn")

    def __init__(self, credit: float, now: float) -> None:
        self.credit = credit
        self.since = now
        self.turn = -1
        self.queue: deque[Turn] = deque()


class Turns:
    """Says whose turn it is; keys are machines' UUIDs, or one for all who are none."""

    def __init__(self, limits: Limits, hits: Hits) -> None:
        """Let each ask ``limits.burst_of_vm`` times at once, and ``pace_of_vm`` in a second.

        ``hits`` counts what had to wait for that.
        """
        self._pace = limits.pace_of_vm
        self._burst = limits.burst_of_vm
        self._hits = hits
        self._loop = asyncio.get_running_loop()
        self._accounts: dict[str, _Account] = {}
        self._busy: dict[_Account, None] = {}
        self._turn = 0
        self._next: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None

    def now(self, key: str) -> bool:
        """Say whether ``key`` may have something done at once; then that is counted."""
        account = self._accounts.get(key) or self._made(key)
        if account.queue or account.turn == self._turn or not self._paid(account):
            if account.credit < 1:
                self._hits.note("pace_of_vm", key)
            return False
        account.turn = self._turn
        if self._next is None:
            self._next = self._loop.call_soon(self._serve)
        return True

    def later(self, key: str, work: Callable[[], None]) -> Turn:
        """Do ``work`` when it is the turn of ``key``."""
        account = self._accounts.get(key) or self._made(key)
        turn = Turn(work)
        account.queue.append(turn)
        self._busy[account] = None
        if self._next is None:
            self._next = self._loop.call_soon(self._serve)
        return turn

    def waiting(self, key: str) -> int:
        """Say how much waits for the turn of ``key``."""
        account = self._accounts.get(key)
        return len(account.queue) if account is not None else 0

    def charge(self, key: str, cost: float) -> None:
        """Count what was done for ``key`` as so much more."""
        account = self._accounts.get(key)
        if account is not None:
            account.credit -= cost

    def _made(self, key: str) -> _Account:
        if len(self._accounts) >= _KNOWN:
            self._forget()
        account = self._accounts[key] = _Account(self._burst, self._loop.time())
        return account

    def _forget(self) -> None:
        """Drop those that would be the same if they were made anew."""
        latest = self._loop.time() - self._burst / self._pace
        for key, account in list(self._accounts.items()):
            if account.since < latest and not account.queue:
                del self._accounts[key]

    def _paid(self, account: _Account) -> bool:
        now = self._loop.time()
        credit = account.credit + (now - account.since) * self._pace
        account.since = now
        account.credit = credit = min(credit, self._burst)
        if credit < 1:
            return False
        account.credit = credit - 1
        return True

    def _serve(self) -> None:
        """Begin another turn: each that waits has one thing done, if its pace allows."""
        self._turn += 1
        self._next = None
        if self._later is not None:
            self._later.cancel()
            self._later = None
        short = True
        for account in list(self._busy):
            while account.queue and account.queue[0].work is None:
                account.queue.popleft()
            if not account.queue:
                del self._busy[account]
            elif self._paid(account):
                short = False
                account.turn = self._turn
                _do(account.queue.popleft())
        if self._busy and self._next is None:
            self._wait(short=short)

    def _wait(self, *, short: bool) -> None:
        if not short:
            self._next = self._loop.call_soon(self._serve)
            return
        most = max(account.credit for account in self._busy)
        self._later = self._loop.call_later((1 - most) / self._pace, self._serve)


def _do(turn: Turn) -> None:
    work, turn.work = turn.work, None
    try:
        if work is not None:
            work()
    except Exception:  # noqa: BLE001 - what fails for one is not the others' loss
        _log.exception("a request that waited for its turn cannot be answered")
