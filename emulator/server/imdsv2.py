"""Holds the machines of a server to the fleet's policy about session tokens, and says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from emulator.migration.canary import CanaryPolicy, Kept, Sight, found, step
from emulator.migration.governed import Change, Governed, Name, Source
from emulator.ports import Ports
from emulator.runtime.state import State
from emulator.server.operator import Readiness
from emulator.server.recording import Recording

_log = logging.getLogger("imds")

KEPT = "imdsv2/canary.json"

_SAVED_EVERY = 60.0
"""Seconds of a step that a restart may forget."""


class Migration:
    """What ``serve --imdsv2 FILE`` adds; ``source`` gives machines as the policy has them."""

    def __init__(
        self, path: str, source: Source, recording: Recording, state: State, ports: Ports
    ) -> None:
        """Read the policy at ``path``, and where its canary was; raise ``ConfigError``."""
        self.source = Governed(path, source, ports)
        self._recording = recording
        self._state = state
        self._ports = ports
        self._ticked = ports.monotonic()
        self._kept: Kept | None = None
        self._unsaved = ""
        self._saved = 0.0
        # The machines that are served now and that the canary holds, and those of this step.
        self._members: frozenset[Name] = frozenset()
        self._fresh: frozenset[Name] = frozenset()
        self._percent = 0
        if self.source.policy.canary is not None:
            self._take(self._find(self.source.policy.canary))

    async def tick(self) -> None:
        """Move the canary on, if it is time; what it is to hold is read from ``source`` next."""
        now = self._ports.monotonic()
        seconds, self._ticked = now - self._ticked, now
        policy = self.source.policy.canary
        if policy is None:
            self._take(None)
            return
        before = self._kept or self._find(policy)
        after = step(policy, before, seconds, self._sight())
        moved = msgspec.structs.replace(before, held=after.held) != after
        if (
            self._kept is None
            or moved
            or after.held - self._saved >= _SAVED_EVERY
            or self._unsaved
        ):
            saved = await asyncio.to_thread(self._save, after)
            if not saved and after.percent > before.percent:
                # It must not go on where a restart would not know of it.
                return
        self._take(after)
        if moved:
            self._tell(before, after)

    def adopt(self) -> None:
        """Note that the machines that ``source`` has given are served from now on."""
        members, percent = self.source.members, self.source.loaded_percent
        boots = self._recording.boots
        # What was asked until now was asked of the former machines.
        self._recording.flush()
        boots.forget_all_but(self.source.names)
        new = members - self._members
        # Whatever they did before, they did without being held.
        boots.anew(new)
        self._fresh = new if percent != self._percent else (self._fresh | new) & members
        self._members, self._percent = members, percent

    def settle(self, readiness: Readiness, *, taken: bool) -> None:
        """Tell of what has changed since the last call; ``taken`` if other machines are served."""
        if taken:
            self.adopt()
        readiness.set("imdsv2", self.source.problem)
        readiness.set("imdsv2 canary", self._unsaved)
        changes, self.source.changes = self.source.changes, []
        for change in changes:
            self._say(change)

    def _take(self, kept: Kept | None) -> None:
        self._kept = kept
        self._recording.canary = kept.percent if kept is not None else None
        self.source.percent = kept.percent if kept is not None else 0

    def _sight(self) -> Sight:
        boots = self._recording.boots
        boots.check()
        return Sight(
            stalled={
                "/".join(name): cause
                for name, cause in boots.stalled.items()
                if name in self._members and cause != "other"
            },
            pending=boots.pending(self._members),
            fresh=len(self._fresh),
            proven=boots.proven(self._fresh),
            in_force=self._percent == self.source.percent,
        )

    def _find(self, policy: CanaryPolicy) -> Kept:
        try:
            kept = found(self._state.load(KEPT), policy)
        except (OSError, ValueError) as error:
            kept = Kept(attempt=policy.attempt, fallen=True, why="what was kept cannot be read")
            self._unsaved = f"{KEPT} cannot be read: {error}"
            _log.error("the IMDSv2 canary requires nothing: %s", self._unsaved)
            own = {"canary_percent": 0, "canary_attempt": policy.attempt}
            self._event("imdsv2-canary-fallback", f"the IMDSv2 canary fell back: {kept.why}", own)
        self._saved = kept.held
        return kept

    def _save(self, kept: Kept) -> bool:
        try:
            self._state.save(KEPT, msgspec.json.encode(kept))
        except OSError as error:
            if not self._unsaved:
                _log.error("the IMDSv2 canary stays where it is: %s", error)
            self._unsaved = f"cannot be kept: {error}"
            return False
        self._saved, self._unsaved = kept.held, ""
        return True

    def _tell(self, before: Kept, after: Kept) -> None:
        own = {
            "canary_percent_before": before.percent,
            "canary_percent": after.percent,
            "canary_attempt": after.attempt,
        }
        if after.fallen:
            self._recording.fallbacks += 1
            message = f"the IMDSv2 canary fell back from {before.percent} %: {after.why}"
            _log.warning("%s", message)
            self._event("imdsv2-canary-fallback", message, own)
        else:
            message = (
                f"the IMDSv2 canary goes from {before.percent} % of VMs to {after.percent} %, "
                f"attempt {after.attempt}"
            )
            _log.info("%s", message)
            self._event("imdsv2-canary-raise", message, own)

    def _say(self, change: Change) -> None:
        own = {
            "mode": change.mode,
            "exceptions": change.exceptions,
            "vms_by_mode": change.vms,
            "vms_changed": change.changed,
            "vms": change.names,
        }
        counts = ", ".join(f"{count} {mode}" for mode, count in change.vms.items())
        of_all = f"{change.changed} of {sum(change.vms.values())} VMs"
        message = f"the IMDSv2 policy changed for {of_all}: {counts}"
        _log.info("%s", message)
        self._event("imdsv2-mode-change", message, own)

    def _event(self, action: str, message: str, own: Mapping[str, object]) -> None:
        self._recording.event(action, message, own)
