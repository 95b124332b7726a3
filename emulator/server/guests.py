"""The operator's page about what guests have said of themselves."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from emulator.core.message import JSON, Reply
from emulator.server.machine import Machine


def page(machines: Iterable[Machine]) -> Reply:
    """Give, for each machine of which there is something to tell, what it is.

    ``attributes`` are those that its guest wrote, ``boot`` is what it reported of its boot, and
    ``waiting`` the number of its requests that wait for a change.
    """
    found = {
        f"{machine.instance.namespace}/{machine.instance.name}": told
        for machine in machines
        if (told := _told(machine))
    }
    return Reply(200, msgspec.json.encode(found) + b"\n", JSON)


def _told(machine: Machine) -> dict[str, object]:
    told: dict[str, object] = {}
    lasting = machine.lasting
    if lasting is not None:
        if lasting.written.texts:
            told["attributes"] = dict(lasting.written.texts)
        if any(lasting.reported):
            told["boot"] = dict(zip(("state", "why"), lasting.reported, strict=True))
    if machine.waiters:
        told["waiting"] = machine.waiters
    return told
