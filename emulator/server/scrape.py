"""The operator's page of metrics: what was counted, and what the server is like now."""

from __future__ import annotations

import asyncio
from collections import Counter

from emulator import __version__
from emulator.core.message import Reply
from emulator.migration.modes import MODES, mode_of
from emulator.model.instance import Instance
from emulator.observe.catalogue import State, series
from emulator.observe.catalogue_imdsv2 import Migration
from emulator.observe.exposition import TYPE, pieces
from emulator.server.doors import Doors
from emulator.server.hub import Hub
from emulator.server.log import MALFORMED
from emulator.server.operator import Readiness
from emulator.server.recording import Recording
from emulator.server.reload import Reloader

# Machines that are looked at without a pause: half a millisecond.
_TURN = 500


async def page(
    recording: Recording, hub: Hub, doors: Doors, reloader: Reloader, readiness: Readiness
) -> Reply:
    """Answer ``/metrics``, in many turns where there are many machines: guests are not to wait."""
    recording.flush()
    instances = [machine.instance for machine in hub.fleet.machines]
    hits = hub.hits.of
    vms = [(instance.namespace, instance.name) for instance in instances]
    boots = recording.boots
    boots.check()
    boots.forget_all_but(set(vms))
    state = State(
        version=__version__,
        ready=readiness.ready,
        vms=vms,
        reloads=reloader.taken,
        failed_reloads=reloader.failed,
        reload_successful=not reloader.problem,
        reloaded=reloader.good,
        waiting=hub.waiting,
        connections=sum(door.held for door in doors),
        limit_hits=hub.hits,
        vm_limit_hits={
            (instance.namespace, instance.name): hits[instance.uuid]
            for instance in instances
            if instance.uuid in hits
        },
        malformed={reason: hub.malformed[reason] for reason in MALFORMED},
        audited=recording.audited,
        migration=Migration(
            modes=await _modes(instances),
            completed=boots.completed,
            stalls=boots.stalls,
            stalled=boots.stalled,
            canary=recording.canary,
            fallbacks=recording.fallbacks,
        ),
    )
    written = []
    for piece in pieces(series(recording.metrics, state)):
        written.append(piece)
        await asyncio.sleep(0)
    return Reply(200, b"".join(written), TYPE)


async def _modes(instances: list[Instance]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for number, instance in enumerate(instances):
        found[mode_of(instance)] += 1
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return {mode: found[mode] for mode in MODES}
