"""The guests that wait for one machine to change, and the timer for its next event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Generic, Protocol, TypeVar

M_contra = TypeVar("M_contra", contravariant=True)
M = TypeVar("M")

# So many look at a time, a few milliseconds' work.
_TURN = 100

_log = logging.getLogger("imds")


class Waiter(Protocol[M_contra]):
    """A request whose answer is due once its machine has changed."""

    def changed(self, machine: M_contra | None) -> None:
        """Look again at ``machine``, as it is now; None if it is gone."""

    def late(self) -> None:
        """Wait no longer."""


class Waiting(Generic[M]):
    """Waiters cost an entry in a table each, and a machine on which nobody waits no timer."""

    __slots__ = ("_due", "_timer", "_waiters")

    def __init__(self, due: Callable[[], None]) -> None:
        """Call ``due`` when the time has come that ``until`` was told."""
        self._due = due
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: dict[Waiter[M], None] = {}

    def __len__(self) -> int:
        """Count the waiters."""
        return len(self._waiters)

    def add(self, waiter: Waiter[M]) -> None:
        """Wake ``waiter`` from now on."""
        self._waiters[waiter] = None

    def forget(self, waiter: Waiter[M]) -> None:
        """Wake ``waiter`` no more."""
        self._waiters.pop(waiter, None)
        if not self._waiters:
            self._stop()

    def until(self, seconds: float) -> None:
        """Expect a change in so many seconds, infinite if none."""
        self._stop()
        if self._waiters and seconds < inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, seconds), self._due)

    def look(self, machine: M | None) -> None:
        """Have all look at ``machine``, some at a time: others ask the server something too."""
        self._each(list(self._waiters), machine)

    def hand_over(self, other: Waiting[M] | None, machine: M | None) -> None:
        """Give all waiters to ``other``, those of ``machine``, and have them look at it."""
        waiters, self._waiters = self._waiters, {}
        self._stop()
        place = other if other is not None else Waiting[M](self._due)
        for waiter in waiters:
            place.add(waiter)
        place.look(machine)

    def release(self) -> None:
        """Let nobody wait any longer."""
        for waiter in list(self._waiters):
            _told(waiter.late)

    def _each(self, waiters: list[Waiter[M]], machine: M | None) -> None:
        for waiter in waiters[:_TURN]:
            # Its guest may have hung up since, or another machine have taken its place.
            if waiter in self._waiters:
                _told(partial(waiter.changed, machine))
        if waiters[_TURN:]:
            _ = asyncio.get_running_loop().call_soon(self._each, waiters[_TURN:], machine)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _told(tell: Callable[[], None]) -> None:
    """Tell one waiter; what fails there is not the others' loss."""
    try:
        tell()
    except Exception:  # noqa: BLE001 - whatever it is
        _log.exception("a waiting request cannot be answered")
