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


class Hanging:
    """A waiter of a machine; ``server.waiting`` calls it."""

    __slots__ = ("_asked", "_machine", "_request", "_timer", "_wait")

    def __init__(self, asked: Asked, request: Request, machine: Machine, wait: Wait) -> None:
        """Wait from now on, at most as long as ``wait`` says."""
        self._asked = asked
        self._request = request
        self._machine = machine
        self._wait = wait
        self._timer: asyncio.TimerHandle | None = None
        if wait.seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(wait.seconds, self.late)
        machine.wait(self)

    def changed(self, machine: Machine | None) -> None:
        """Ask again, of ``machine`` from now on; None if it is gone."""
        if machine is not None:
            self._machine = machine
        if self._asked.again(replace(self._request, query=self._wait.again), machine):
            self.cancel()

    def late(self) -> None:
        """Ask for what there is."""
        self.cancel()
        request = replace(self._request, query=self._wait.late)
        _ = self._asked.again(request, self._machine)

    def cancel(self) -> None:
        """Be forgotten."""
        self._machine.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
