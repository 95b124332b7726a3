"""What somebody gives in exchange: kept while it is good, and got anew before it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Generic, Protocol, TypeVar

import msgspec

from emulator.credentials.kept import Kept
from emulator.errors import CredentialsUnavailable
from emulator.ports import Ports

KEPT = 10_000
"""Machines whose keys are kept; of more, those go that did not ask longest."""

# Exchanges at once: a dead service must not take every thread that the server has, nor hundreds
# of machines start as many programs.
_AT_ONCE = 4

# Keys are got anew so many seconds before they end, at half of their life if that is shorter:
# clients that ask again when 15 minutes are left (contract 3.5) then find new ones.
EARLY = 1200

# Seconds before another try, by how often it failed.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

_log = logging.getLogger("imds")


class Spawn(Protocol):
    """Starts work that outlives who asked for it, and reports its failure."""

    def __call__(self, work: Coroutine[object, object, None], name: str, /) -> asyncio.Task[None]:
        """Start ``work``."""


class Ending(Protocol):
    """What is good until it ends; times are seconds since the epoch."""

    @property
    def updated(self) -> float:
        """When it was new."""

    @property
    def expires(self) -> float:
        """When it ends."""


Found = TypeVar("Found", bound=Ending)


class Wanted(msgspec.Struct, frozen=True):
    """What is wanted: ``key`` tells it from all else, ``machine`` and ``what`` name it in the log.

    Another identity must not get the last one's keys: all that an exchange depends on is in
    ``key``.
    """

    key: object
    machine: str
    what: str


class _Entry(Generic[Found]):
    """What is known of one machine's keys."""

    def __init__(self) -> None:
        self.found: Found | None = None
        self.work: asyncio.Task[None] | None = None
        self.failures = 0
        self.again = 0.0  # by the monotonic clock
        self.message = "they cannot be had now"
        self.code = "Failed"
        self.detail = ""


class Exchanges(Generic[Found]):
    """Keeps what is exchanged for each machine."""

    def __init__(self, ports: Ports, spawn: Spawn) -> None:
        """Exchange as work for ``spawn``, which goes on when the guest that wanted it hangs up."""
        self._ports = ports
        self._spawn = spawn
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._entries: Kept[object, _Entry[Found]] = Kept(KEPT)

    async def kept(self, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]) -> Found:
        """Give what was got before while it is good, even if it is time for new; else ``fetch``.

        Raises ``CredentialsUnavailable``.
        """
        entry = self._entry(wanted)
        if self._is_due(entry):
            work = self._exchange(entry, wanted, fetch)
            entry.work = self._spawn(work, f"exchange for {wanted.what} of {wanted.machine}")
        if entry.work is not None and not self._is_good(entry.found):
            # A guest that hangs up cancels its own waiting only.
            await asyncio.shield(entry.work)
        if entry.found is not None and self._is_good(entry.found):
            return entry.found
        raise CredentialsUnavailable(entry.message, code=entry.code, detail=entry.detail)

    async def direct(self, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]) -> Found:
        """Give what ``fetch`` gives each time; a failure is logged once while it lasts."""
        entry = self._entry(wanted)
        try:
            found = await fetch()
        except CredentialsUnavailable as error:
            self._note(entry, error, wanted)
            raise
        entry.failures = 0
        return found

    def _entry(self, wanted: Wanted) -> _Entry[Found]:
        return self._entries.get(wanted.key, _Entry)

    def _is_good(self, found: Found | None) -> bool:
        return found is not None and self._ports.wall() < found.expires

    def _is_due(self, entry: _Entry[Found]) -> bool:
        if entry.work is not None or self._ports.monotonic() < entry.again:
            return False
        found = entry.found
        if found is None:
            return True
        early = min(EARLY, (found.expires - found.updated) / 2)
        return self._ports.wall() >= found.expires - early

    async def _exchange(
        self, entry: _Entry[Found], wanted: Wanted, fetch: Callable[[], Awaitable[Found]]
    ) -> None:
        """Get keys into ``entry``, or why there are none and when to try again."""
        failures = entry.failures + 1
        try:
            entry.found = await self._fresh(fetch, wanted)
            failures = 0
        except CredentialsUnavailable as error:
            self._note(entry, error, wanted)
        finally:
            entry.failures, entry.work = failures, None
            entry.again = self._ports.monotonic() + _PAUSES[min(failures, len(_PAUSES) - 1)]

    async def _fresh(self, fetch: Callable[[], Awaitable[Found]], wanted: Wanted) -> Found:
        async with self._slots:
            found = await fetch()
        if not self._is_good(found):
            detail = "they ended before they came: is this host's clock right?"
            raise CredentialsUnavailable(f"{wanted.what} have expired", detail=detail)
        return found

    def _note(self, entry: _Entry[Found], error: CredentialsUnavailable, wanted: Wanted) -> None:
        """Keep a failure, and log it once for as long as it stays the same."""
        told = entry.failures and (str(error), error.detail) == (entry.message, entry.detail)
        entry.failures = max(entry.failures, 1)
        entry.message, entry.code, entry.detail = str(error), error.code, error.detail
        if told:
            return
        why = f"{error} ({error.detail})" if error.detail else str(error)
        _log.warning("%s: no %s: %s", wanted.machine, wanted.what, why)
