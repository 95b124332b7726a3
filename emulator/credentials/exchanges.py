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
"""Machines' accounts and roles that are kept; of more, those go that did not ask longest."""

# Exchanges at once with one service, or of programs: a dead one must not keep the others' machines
# waiting, nor hundreds of machines start as many programs. And all together, for each may take a
# thread and a descriptor.
_AT_ONCE = 4
TOGETHER = 32

# A guest chooses scopes or a resource: so many of its texts are kept for each account, and so many
# exchanges of a machine may have begun. One runs at a time, for all machines share the slots.
_TEXTS = 16
_PENDING = 16

# Keys are got anew so many seconds before they end, at half of their life if that is shorter:
# clients that ask again when 15 minutes are left (contract 3.5) then find new ones.
EARLY = 1200

# Seconds before another try, by how often it failed.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

# What this provider gives ends when it should: nobody need give anything new.
_MADE = "generated"

_log = logging.getLogger("imds")


class Spawn(Protocol):
    """Starts work that outlives who asked for it, and reports its failure."""

    def __call__(self, work: Coroutine[object, object, None], name: str, /) -> asyncio.Task[None]:
        """Start ``work``."""


class Told(Protocol):
    """Hears of what providers are asked for, and of what guests are given."""

    def refreshed(self, provider: str, /, *, ok: bool) -> None:
        """Be told whether ``provider`` gave something."""

    def used(self, provider: str, expires: float, /) -> None:
        """Be told when something of ``provider`` ends that a guest has just asked for."""


class _Nobody:
    """Is told for nothing."""

    def refreshed(self, provider: str, /, *, ok: bool) -> None:
        """Do nothing."""

    def used(self, provider: str, expires: float, /) -> None:
        """Do nothing."""


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
    """What ``owner``, a machine, wants; ``machine`` and ``what`` name it in the log.

    Another identity must not get the last one's keys: all that an exchange depends on is in
    ``key``, but for ``text``, which the guest chose. ``provider`` is the description's word, and
    ``service`` says who is asked.
    """

    owner: object
    key: object
    machine: str
    what: str
    text: str = ""
    provider: str = ""
    service: str = ""


class _Notes:
    """Logs why there are no keys of an account, once for as long as that stays the same."""

    def __init__(self) -> None:
        self.told: tuple[str, str] | None = None

    def note(
        self, wanted: Wanted, error: CredentialsUnavailable, cause: Exception | None = None
    ) -> None:
        """Log ``error``, with the traceback of ``cause`` if nobody foresaw that."""
        if self.told == (str(error), error.detail):
            return
        self.told = (str(error), error.detail)
        why = f"{error} ({error.detail})" if error.detail else str(error)
        _log.warning("%s: no %s: %s", wanted.machine, wanted.what, why, exc_info=cause)


class _Entry(Generic[Found]):
    """What is known of keys for one text."""

    def __init__(self, notes: _Notes) -> None:
        self.notes = notes
        self.found: Found | None = None
        self.ends = 0.0  # by the monotonic clock, too: the other may be set back
        self.work: asyncio.Task[None] | None = None
        self.failures = 0
        self.again = 0.0  # by the monotonic clock
        self.message = "they cannot be had now"
        self.code = "Failed"
        self.detail = ""

    def fail(self, error: CredentialsUnavailable) -> None:
        """Keep what is told to who asks before the next try."""
        self.message, self.code, self.detail = str(error), error.code, error.detail


class _Known(Generic[Found]):
    """What is known of one account or role of a machine."""

    def __init__(self) -> None:
        self.texts: Kept[str, _Entry[Found]] = Kept(_TEXTS)
        self.notes = _Notes()

    def made(self, text: str) -> _Entry[Found]:
        """Give the entry for ``text``."""
        return self.texts.get(text, lambda: _Entry(self.notes))


class _Queue:
    """The exchanges that one machine has begun: they run in turn."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


class Exchanges(Generic[Found]):
    """Keeps what is exchanged for each machine."""

    def __init__(
        self, ports: Ports, spawn: Spawn, at_once: int = _AT_ONCE, told: Told | None = None
    ) -> None:
        """Exchange as work for ``spawn``, which goes on when the guest that wanted it hangs up.

        At most ``at_once`` exchanges run with one service, at most one of each machine. ``told``
        hears of each, and of what is given.
        """
        self._told = told or _Nobody()
        self._ports = ports
        self._spawn = spawn
        self._at_once = at_once
        self._slots: Kept[str, asyncio.Semaphore] = Kept(KEPT)
        self._together = asyncio.Semaphore(TOGETHER)
        self._known: Kept[object, _Known[Found]] = Kept(KEPT)
        self._queues: dict[object, _Queue] = {}

    async def kept(self, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]) -> Found:
        """Give what was got before while it is good, even if it is time for new; else ``fetch``.

        Raises ``CredentialsUnavailable``.
        """
        entry = self._entry(wanted, fetch)
        if entry.work is not None and not self._is_good(entry):
            # A guest that hangs up cancels its own waiting only.
            await asyncio.shield(entry.work)
        if entry.found is not None:
            self._told.used(wanted.provider, entry.found.expires)
            if self._is_good(entry):
                return entry.found
        raise CredentialsUnavailable(entry.message, code=entry.code, detail=entry.detail)

    async def direct(self, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]) -> Found:
        """Give what ``fetch`` gives each time; a failure is logged once while it lasts."""
        key = (wanted.owner, wanted.key)
        try:
            found = await fetch()
        except CredentialsUnavailable as error:
            self._told.refreshed(wanted.provider, ok=False)
            self._known.get(key, _Known).notes.note(wanted, error)
            if error.ended is not None:
                self._told.used(wanted.provider, error.ended)
            raise
        self._told.refreshed(wanted.provider, ok=True)
        if wanted.provider != _MADE:
            self._told.used(wanted.provider, found.expires)
        self._known.drop(key)
        return found

    def _entry(self, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]) -> _Entry[Found]:
        """Give what is known, with an exchange begun if it is time for one."""
        known = self._known.get((wanted.owner, wanted.key), _Known)
        entry = known.texts.find(wanted.text)
        if entry is not None and not self._is_due(entry):
            return entry
        queue = self._queues.get(wanted.owner) or _Queue()
        if queue.length < _PENDING:
            entry = known.made(wanted.text)
            self._begin(queue, entry, wanted, fetch)
        elif entry is None or not self._is_good(entry):
            raise CredentialsUnavailable("too much is asked for at once", code="Throttled")
        return entry

    def _begin(
        self,
        queue: _Queue,
        entry: _Entry[Found],
        wanted: Wanted,
        fetch: Callable[[], Awaitable[Found]],
    ) -> None:
        def ended(_work: asyncio.Task[None]) -> None:
            queue.length -= 1
            if not queue.length:
                del self._queues[wanted.owner]

        queue.length += 1
        self._queues[wanted.owner] = queue
        work = self._exchange(entry, wanted, lambda: self._fresh(queue, wanted, fetch))
        entry.work = self._spawn(work, f"exchange for {wanted.what} of {wanted.machine}")
        entry.work.add_done_callback(ended)

    def _is_good(self, entry: _Entry[Found]) -> bool:
        found = entry.found
        return (
            found is not None
            and self._ports.wall() < found.expires
            and self._ports.monotonic() < entry.ends
        )

    def _is_due(self, entry: _Entry[Found]) -> bool:
        if entry.work is not None or self._ports.monotonic() < entry.again:
            return False
        found = entry.found
        if found is None:
            return True
        early = min(EARLY, (found.expires - found.updated) / 2)
        left = (found.expires - self._ports.wall(), entry.ends - self._ports.monotonic())
        return min(left) <= early

    async def _exchange(
        self, entry: _Entry[Found], wanted: Wanted, fresh: Callable[[], Awaitable[Found]]
    ) -> None:
        """Get keys into ``entry``, or why there are none and when to try again."""
        failures = entry.failures + 1
        try:
            entry.found = found = await fresh()
            entry.ends = self._ports.monotonic() + found.expires - self._ports.wall()
            failures, entry.notes.told = 0, None
        except CredentialsUnavailable as error:
            entry.fail(error)
            entry.notes.note(wanted, error)
        except Exception as error:  # noqa: BLE001 (whatever it is, who asks is told of a failure)
            failure = CredentialsUnavailable(
                "the exchange failed in the server", detail=type(error).__name__
            )
            entry.fail(failure)
            entry.notes.note(wanted, failure, error)
        finally:
            self._told.refreshed(wanted.provider, ok=not failures)
            entry.failures, entry.work = failures, None
            entry.again = self._ports.monotonic() + _PAUSES[min(failures, len(_PAUSES) - 1)]

    async def _fresh(
        self, queue: _Queue, wanted: Wanted, fetch: Callable[[], Awaitable[Found]]
    ) -> Found:
        slots = self._slots.get(wanted.service, lambda: asyncio.Semaphore(self._at_once))
        async with queue.turn, slots, self._together:
            found = await fetch()
        if self._ports.wall() >= found.expires:
            detail = "they ended before they came: is this host's clock right?"
            raise CredentialsUnavailable(f"{wanted.what} have expired", detail=detail)
        return found
