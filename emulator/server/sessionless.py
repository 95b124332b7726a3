"""The operator's page of who asks without session tokens, for ``imds-emulator report``."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from emulator.core.message import JSON, Reply
from emulator.observe.callers import Finding, Machine
from emulator.server.recording import Recording


def page(recording: Recording, served: Collection[tuple[str, str]]) -> Reply:
    """Answer ``/imdsv2``: what ``served`` machines asked since the start, within bounds."""
    recording.flush()
    callers, refused = recording.callers.found()
    machines = {
        "/".join(name): Machine(requests=vm.given + vm.sessionless, without=vm.sessionless)
        for name, vm in recording.metrics.vms.items()
        if vm.given + vm.sessionless and name in served
    }
    found = Finding(
        machines=machines,
        callers=[caller for caller in callers if (caller.namespace, caller.vm) in served],
        refused=[caller for caller in refused if (caller.namespace, caller.vm) in served],
    )
    return Reply(200, msgspec.json.encode(found) + b"\n", JSON)
