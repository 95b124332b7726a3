"""Machines' boots as the metadata service sees them: which got their data, which were stalled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from http import HTTPStatus
from typing import Literal

from emulator.core.refusal import Refusal
from emulator.observe.metrics import was_read
from emulator.observe.observation import Observation
from emulator.ports import Ports

SILENCE = 600.0
"""Seconds without a request after which the next one begins a boot."""

PATIENCE = 120.0
"""Seconds from the first refusal within which a machine has its data, or is stalled."""

_INSISTS = 1.0
"""Seconds that refusals are apart at least, of a machine that has had its data before.

A boot asks again and again; what comes once, of a machine that is known to manage, was typed by
somebody, or is an application's.
"""

Name = tuple[str, str]
Cause = Literal["session", "token", "other"]

# What a client has when it has reached the service, and nothing yet.
_NO_DATA = frozenset({"session", "listing", "health", "none"})
_SESSION = frozenset({Refusal.SESSION_MISSING, Refusal.SESSION_INVALID})
# Those that a client cannot mean: it asks for what is not there to find out what there is.
_OTHER = frozenset(
    {
        Refusal.FOREIGN_HOST,
        Refusal.HEADER_MISSING,
        Refusal.FORWARDED,
        Refusal.ENDPOINT_OFF,
        Refusal.FORBIDDEN,
        Refusal.THROTTLED,
        Refusal.UNAVAILABLE,
    }
)


class _Boot:
    """What is known of a machine: its present boot, and how it managed before."""

    __slots__ = (
        *("again", "cause", "completed", "last", "managed", "managed_session", "proven"),
        *("refused", "settled", "stalled"),
    )

    def __init__(self) -> None:
        self.last = 0.0
        # It ever had any data; some where session tokens are taken; some with one.
        self.managed = self.managed_session = self.proven = False
        # Of the present boot: nothing more can become of it once it is settled.
        self.settled = self.completed = self.stalled = False
        self.cause: Cause | None = None
        # The first refusal and the last one.
        self.refused = self.again = 0.0

    def begin(self) -> None:
        self.settled = self.completed = self.stalled = False
        self.cause = None

    @property
    def strays(self) -> bool:
        """Whether what was refused is not like a boot."""
        managed = self.managed if self.cause == "other" else self.managed_session
        return managed and self.again - self.refused < _INSISTS


class Boots:
    """An observer of boots: by monotonic time, so that no clock that is set makes one.

    A boot begins with a machine's first request, or the first after ``SILENCE``. It is completed
    once it has got data; it is stalled if it got none for ``PATIENCE`` after it was refused. Where
    session tokens are the cause, only data that is had with them, or where they are taken, counts:
    that another dialect answers is no comfort to a client of EC2's. Requests for health count as
    none. Machines are those that are served (``forget_all_but``).
    """

    def __init__(self, ports: Ports) -> None:
        """Start with none."""
        self._ports = ports
        self._boots: dict[Name, _Boot] = {}
        self._refused: dict[Name, _Boot] = {}
        self.completed = 0
        self.stalls: Counter[str] = Counter()
        self.stalled: dict[Name, Cause] = {}
        """Machines that got no data since their boot was stalled, and why."""

    def __call__(self, seen: Sequence[Observation]) -> None:
        """Note answered requests, in their order."""
        now = self._ports.monotonic()
        boot: _Boot | None = None
        namespace = vm = ""
        for one in seen:
            if not one.vm or one.document == "health":
                continue
            # Most of what is seen together is one machine's.
            if boot is None or one.vm != vm or one.namespace != namespace:
                namespace, vm = one.namespace, one.vm
                boot = self._boot((namespace, vm), now)
            boot.last = now
            # What dialects without session tokens say of a completed boot changes nothing.
            if not (boot.settled or (boot.completed and not one.session)):
                self._note((namespace, vm), boot, one, now)

    def check(self) -> None:
        """Find boots that have been stalled by now."""
        now = self._ports.monotonic()
        for name, boot in list(self._refused.items()):
            self._judge(name, boot, now)

    def pending(self, among: Collection[Name]) -> bool:
        """Say whether a machine was refused for its session, and is not stalled yet."""
        return any(boot.cause != "other" and name in among for name, boot in self._refused.items())

    def proven(self, among: Iterable[Name]) -> int:
        """Say how many machines got data with a session token."""
        return sum(name in self._boots and self._boots[name].proven for name in among)

    def anew(self, names: Iterable[Name]) -> None:
        """Have the next request of each begin a boot of a machine of which nothing is known."""
        for name in names:
            self._boots.pop(name, None)
            self._refused.pop(name, None)
            self.stalled.pop(name, None)

    def forget_all_but(self, served: Collection[Name]) -> None:
        """Drop machines that are not among ``served`` any more."""
        self.anew([name for name in self._boots if name not in served])

    def _boot(self, name: Name, now: float) -> _Boot:
        """Give what is known of a machine that asks, in a new boot after silence."""
        boot = self._boots.get(name)
        if boot is None:
            boot = self._boots[name] = _Boot()
        elif now - boot.last >= SILENCE:
            self._judge(name, boot, now)
            boot.begin()
        return boot

    def _note(self, name: Name, boot: _Boot, seen: Observation, now: float) -> None:
        if seen.status // 100 == HTTPStatus.OK // 100:
            if seen.document not in _NO_DATA and was_read(seen.method):
                self._data(name, boot, seen.session, now)
        else:
            self._refusal(name, boot, _cause(seen), now)

    def _data(self, name: Name, boot: _Boot, session: str, now: float) -> None:
        self._judge(name, boot, now)
        cause = boot.cause or self.stalled.get(name)
        if not session and cause in {"session", "token"}:
            return
        boot.cause = None
        self._refused.pop(name, None)
        self.stalled.pop(name, None)
        boot.managed = True
        if session:
            boot.settled = boot.managed_session = True
            boot.proven = boot.proven or session == "given"
        if not (boot.completed or boot.stalled):
            boot.completed = True
            self.completed += 1

    def _refusal(self, name: Name, boot: _Boot, cause: Cause | None, now: float) -> None:
        if cause is None or boot.stalled or (cause == "other" and boot.completed):
            return
        if boot.cause is None or (boot.cause == "other" and cause != "other"):
            boot.cause, boot.refused = cause, now
            self._refused[name] = boot
        boot.again = now

    def _judge(self, name: Name, boot: _Boot, now: float) -> None:
        """Say of a boot that was refused, and got no data, whether it is stalled."""
        if boot.cause is None or now - boot.refused < PATIENCE:
            return
        self._refused.pop(name, None)
        if not boot.strays:
            boot.stalled = True
            self.stalls[boot.cause] += 1
            self.stalled[name] = boot.cause
        boot.cause = None


def _cause(seen: Observation) -> Cause | None:
    if seen.document == "session":
        return "token" if seen.method == "PUT" else None
    if seen.reason in _SESSION:
        return "session"
    return "other" if seen.reason in _OTHER else None
