"""One request that hangs until its machine changes, its time is over, or its guest hangs up."""

from __future__ import annotations

import asyncio
from typing import Protocol

from msgspec.structs import replace

from emulator.core.message import Request, Wait
from emulator.server.machine import Machine


class Asked(Protocol):
    """What can ask a request again."""

    def again(self, request: Request, machine: Machine | None) -> bool:
        """Answer ``request``, and say so; False if there is still nothing to answer with."""

    def waited(self) -> None:
        """Be told that it waits no longer."""


class Hanging:
    """A waiter of a machine; ``server.waiting`` calls it."""

    __slots__ = ("_again", "_asked", "_late", "_machine", "_over", "_timer")

    def __init__(self, asked: Asked, request: Request, machine: Machine, wait: Wait) -> None:
        """Wait from now on, at most as long as ``wait`` says."""
        self._asked = asked
        # What it came with besides is not held while it waits.
        self._again = replace(request, query=wait.again, body=b"")
        self._late = wait.late
        self._machine = machine
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        if wait.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(wait.seconds, self.late)
        machine.wait(self)

    def changed(self, machine: Machine | None) -> None:
        """Ask again, of ``machine`` from now on; None if it is gone."""
        if machine is not None:
            self._machine = machine
        if self._over:
            # It ended before it was told of the machine whose waiter it now is.
            self._machine.forget(self)
        elif self._asked.again(self._again, machine):
            self.cancel()

    def late(self) -> None:
        """Ask for what there is."""
        if not self._over:
            self.cancel()
            request = replace(self._again, query=self._late)
            _ = self._asked.again(request, self._machine)

    def cancel(self) -> None:
        """Be forgotten."""
        if self._over:
            return
        self._over = True
        self._machine.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asked.waited()
