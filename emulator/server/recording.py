"""What is told of each answered request, and what becomes of that: nothing secret, all bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from emulator.core.message import Answer, Request
from emulator.core.policy import Session
from emulator.core.session import TOKEN_HEADER, TTL_HEADER, lifetime
from emulator.core.snapshot import Decision
from emulator.model.config import ServeConfig
from emulator.observe.boots import Boots
from emulator.observe.metrics import Metrics
from emulator.observe.observation import (
    Batch,
    BatchObserver,
    Observation,
    Observer,
    bounded,
    shown,
)
from emulator.ports import Ports
from emulator.server.machine import Machine

if TYPE_CHECKING:
    from emulator.observe.audit import Audit
    from emulator.observe.callers import Callers

_LAST_LINES = 2.0
"""Seconds that the last lines may take to be written."""


class Recording:
    """The observers of a server; ``metrics`` are scraped, if there is an operator to do so.

    ``boots`` says what became of machines' boots. Of how many per cent of the machines a
    ``canary`` requires session tokens, None if there is none, and how many ``fallbacks`` it had,
    is told by whoever has it.
    """

    def __init__(self, config: ServeConfig, ports: Ports) -> None:
        """Begin as ``config`` has it; raise ``ConfigError`` or ``StartError``."""
        self.metrics = Metrics(ports=ports)
        self.canary: int | None = None
        self.fallbacks = 0
        self._ports = ports
        # Now: where descriptors have run out, nothing can be imported any more.
        self.boots = Boots(ports)
        self._callers: Callers | None = None
        self._batch: Batch | None = None
        self._writer = None
        self._audit: Audit | None = None
        counting = [self.metrics] if config.operator != "off" else []
        together: list[BatchObserver] = [self._boot] if counting or config.imdsv2 else []
        if config.audit:
            from emulator.observe import audit, sink  # noqa: PLC0415  where nothing is written

            place = sink.place(config.audit, config.audit_bytes, config.audit_files)
            self._writer = sink.Writer(place, partial(audit.lost, ports.wall))
            self._audit = audit.Audit(self._writer)
            together.append(self._audit)
        if together:
            self._batch = Batch(counting, together)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Whom the hub tells."""
        return (self._batch,) if self._batch is not None else ()

    @property
    def callers(self) -> Callers:
        """Who asked without a session token where those are taken."""
        if self._callers is None:
            from emulator.observe.callers import Callers  # noqa: PLC0415  as above

            self._callers = Callers()
        return self._callers

    @property
    def audited(self) -> Mapping[str, int]:
        """How many audit lines were written, and how many were lost."""
        writer = self._writer
        if writer is None:
            return {}
        return {"written": writer.written, "dropped": writer.dropped}

    def _boot(self, seen: Sequence[Observation]) -> None:
        self.boots(seen)
        # Who comes while nothing can be imported is told of with those who come later.
        with suppress(OSError):
            self._note(seen)

    def _note(self, seen: Sequence[Observation]) -> None:
        callers = self._callers
        for one in seen:
            if one.session == "absent" and one.vm:
                callers = self.callers
                callers.note(one)
            elif callers is not None and callers.refused and one.session:
                callers.note(one)

    def event(self, action: str, message: str, own: Mapping[str, object]) -> None:
        """Have the audit log tell of a change that was no request."""
        if self._audit is not None:
            self._audit.event(self._ports.wall(), action, message, own)

    def flush(self) -> None:
        """Count what was answered until now."""
        if self._batch is not None:
            self._batch.flush()

    def reopen(self) -> None:
        """Go on in the audit file that is there now; raise ``StartError``."""
        if self._writer is not None:
            self._writer.reopen()

    def close(self) -> None:
        """Write what has not been written yet, for a while."""
        self.flush()
        if self._writer is not None:
            self._writer.close(_LAST_LINES)


def observation(  # noqa: PLR0913  keywords name themselves
    request: Request,
    machine: Machine | None,
    decision: Decision,
    answer: Answer,
    *,
    now: float,
    seconds: float,
    issued: bool,
    waited: bool,
) -> Observation:
    """Describe a request of ``machine``, None for a stranger, answered after ``seconds``.

    With ``issued`` the answer holds a session token.
    """
    area = decision.area
    vm = machine.instance if machine is not None else None
    agents = request.headers.get_list("User-Agent")
    session, fingerprint = _session(request, machine) if area.session is not None else ("", "")
    if issued and machine is not None:
        fingerprint = machine.sessions.fingerprint(answer.body.decode("latin-1"))
    return Observation(
        time=now,
        vm=vm.name if vm else "",
        dialect=area.dialect,
        area=area.name,
        method=bounded(request.method),
        path=bounded(request.path) if decision.known else shown(request.path),
        status=answer.status,
        reason=decision.refusal or "",
        bytes=0 if request.method == "HEAD" else len(answer.body),
        duration_us=int(seconds * 1e6),
        user_agent=shown(agents[0]) if agents else "",
        peer=request.peer,
        namespace=vm.namespace if vm else "",
        uuid=vm.uuid if vm else "",
        session=session,
        lifetime=lifetime(request.headers.get_list(TTL_HEADER)[0]) or 0 if issued else 0,
        waited=waited,
        fingerprint=fingerprint,
        document=decision.document,
        spared=area.spared(request, decision.refusal) if area.session is Session.OBSERVE else "",
    )


def _session(request: Request, machine: Machine | None) -> tuple[str, str]:
    """Say whether a session token came, and give its fingerprint."""
    tokens = request.headers.get_list(TOKEN_HEADER)
    if not tokens:
        return "absent", ""
    return "given", machine.sessions.fingerprint(tokens[0]) if machine is not None else ""
