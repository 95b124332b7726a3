"""What every connection shares: the fleet that is served, the observers, the clock, the crowd."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING

from emulator.core.bucket import Crowd, Hits, Pace
from emulator.core.policy import Hosts
from emulator.core.snapshot import Snapshot
from emulator.dialects import HOSTS
from emulator.model.config import Limits
from emulator.observe.observation import Observer
from emulator.ports import Ports
from emulator.server.fleet import Fleet
from emulator.server.machine import Machine

if TYPE_CHECKING:
    from emulator.server.turns import Turns

_LIMITS = Limits()

# A clock that is set by less is no surprise, nor worth a line.
_JUMP = 1.0

# Bytes of an answer that take as much time as another request.
_AS_MUCH = 128 << 10

_log = logging.getLogger("imds")


class Hub:
    """What every connection shares; a reload puts another ``fleet`` in its place.

    ``hosts`` are the names by which guests may ask: those of clients, unless told otherwise.
    """

    def __init__(
        self,
        fleet: Fleet,
        ports: Ports,
        observers: Iterable[Observer],
        anyone: Snapshot | None = None,
        limits: Limits = _LIMITS,
    ) -> None:
        """Serve ``fleet``, and ``anyone``'s answers to strangers; tell ``observers`` of each.

        Of ``limits``, those on waiting requests and on rates are the hub's. ``hits`` counts what
        was beyond one, by its name, ``malformed`` what was no whole request, by reason.
        """
        self.fleet = fleet
        self.hosts = Hosts(HOSTS)
        self.waiting = 0
        self.limits = limits
        self.pace = Pace.of(limits)
        self.anyone = anyone
        self.ports = ports
        self.observers = tuple(observers)
        self.hits = Hits()
        self.crowd = Crowd()
        self.malformed: Counter[str] = Counter()
        # Of requests, and of connections: the first request on one is no further burden.
        self.turns = self._turns()
        self.turns_to_connect = self._turns()
        self._busy = 0
        self._quiet = asyncio.Event()
        self._second = 0
        self._date = b""
        self._ahead = ports.wall() - ports.monotonic()

    def _turns(self) -> Turns | None:
        """Give what has machines take turns, None where there is one."""
        if self.fleet.sole is not None:
            return None
        from emulator.server.turns import Turns  # noqa: PLC0415  a sidecar has one machine

        return Turns(self.limits, self.hits)

    def tick(self) -> None:
        """Notice that the clock was set: no timer tells who waits for an event of it."""
        ahead = self.ports.wall() - self.ports.monotonic()
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) >= _JUMP:
            _log.warning("the clock was set by %+.0f seconds", jump)
            for machine in self.fleet.machines:
                machine.reckon()

    def take(self, fleet: Fleet) -> None:
        """Serve ``fleet`` from now on; who waits for a machine waits for it in there."""
        old, self.fleet = self.fleet, fleet
        old.hand_over(fleet)
        self.hits.forget_all_but(fleet.uuids)

    def crowded(self, machine: Machine) -> bool:
        """Say, and count, that there is no place for another that waits for ``machine``."""
        if self.waiting >= self.limits.waiting:
            self.hits.note("waiting")
            return True
        if machine.waiters >= self.limits.waiting_of_vm:
            self.hits.note("waiting_of_vm", machine.instance.uuid)
            return True
        return False

    def excessive(self, machine: Machine) -> bool:
        """Say, and count, that a request is beyond a limit of ``machine``."""
        # Not as of its head: others have come while its body did.
        limit = machine.meter.asks(self.pace, self.ports.monotonic())
        if limit:
            self.hits.note(limit, machine.instance.uuid)
        return bool(limit)

    def answered(self, machine: Machine, size: int) -> None:
        """Count an answer of ``size`` bytes, many, on the account of ``machine``."""
        machine.meter.answers(self.pace, self.ports.monotonic(), size)
        if self.turns is not None:
            self.turns.charge(machine.instance.uuid, size / _AS_MUCH)

    def began(self) -> None:
        """Count a request whose answer is due."""
        self._busy += 1

    def ended(self) -> None:
        """Count one that was answered, or whose guest hung up."""
        self._busy -= 1
        if not self._busy:
            self._quiet.set()

    async def quiet(self) -> None:
        """Wait until no answer is due."""
        while self._busy:
            self._quiet.clear()
            await self._quiet.wait()

    def date(self) -> bytes:
        """Give the ``Date`` header line of this second."""
        now = int(self.ports.wall())
        if now != self._second:
            self._second = now
            self._date = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._date
