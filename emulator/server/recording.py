"""What becomes of the observations: counted, written to the audit log, or not made at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from emulator.model.config import ServeConfig
from emulator.observe.metrics import Metrics
from emulator.observe.observation import Batch, BatchObserver, Observation, Observer
from emulator.ports import Ports

if TYPE_CHECKING:
    from emulator.observe.audit import Audit
    from emulator.observe.boots import Boots
    from emulator.observe.callers import Callers

_LAST_LINES = 2.0
"""Seconds that the last lines may take to be written."""


class Recording:
    """The observers of a server; ``metrics`` are scraped, if there is an operator to do so.

    Of how many per cent of the machines a ``canary`` requires session tokens, None if there is
    none, and how many ``fallbacks`` it had, is told by whoever has it.
    """

    def __init__(self, config: ServeConfig, ports: Ports) -> None:
        """Begin as ``config`` has it; raise ``ConfigError`` or ``StartError``."""
        self.metrics = Metrics(ports=ports)
        self.canary: int | None = None
        self.fallbacks = 0
        self._ports = ports
        self._boots: Boots | None = None
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
    def boots(self) -> Boots:
        """What became of machines' boots."""
        if self._boots is None:
            from emulator.observe.boots import Boots  # noqa: PLC0415  not before anybody asks

            self._boots = Boots(self._ports)
        return self._boots

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
