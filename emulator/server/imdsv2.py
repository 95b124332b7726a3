"""Holds the machines of a server to the fleet's policy about session tokens, and says so."""

from __future__ import annotations

import logging

from emulator.migration.governed import Governed, Source
from emulator.ports import Ports
from emulator.server.operator import Readiness
from emulator.server.recording import Recording

_log = logging.getLogger("imds")


class Migration:
    """What ``serve --imdsv2 FILE`` adds; ``source`` gives machines as the policy has them."""

    def __init__(self, path: str, source: Source, recording: Recording, ports: Ports) -> None:
        """Read the policy at ``path``; raise ``ConfigError``."""
        self.source = Governed(path, source, ports)
        self._recording = recording

    def settle(self, readiness: Readiness) -> None:
        """Tell of what has changed since the last call."""
        readiness.set("imdsv2", self.source.problem)
        changes, self.source.changes = self.source.changes, []
        for change in changes:
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
            self._recording.event("imdsv2-mode-change", message, own)
