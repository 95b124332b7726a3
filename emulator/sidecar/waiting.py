"""Waits for the way to the guest, by the kernel's word that a link has changed."""

from __future__ import annotations

import logging

from emulator.ports import Ports
from emulator.sidecar.bridges import Way, choose, missing
from emulator.sidecar.links import Bell, Links

QUIET = 2.0
"""Seconds without a change after which there will be no better bridge."""

PATIENCE = 60.0
"""Seconds after which it is said what there is instead; a machine's images may take longer."""

_log = logging.getLogger("imds")


def wait(links: Links, bell: Bell, wanted: str, ports: Ports) -> Way:
    """Wait as long as it takes; a signal that asks us to stop breaks in."""
    began = changed = ports.monotonic()
    said = ""
    while True:
        # The bell listens already: a change after this look rings it.
        there = links.all()
        now = ports.monotonic()
        way = choose(there, wanted, settled=now - changed >= QUIET)
        if way is not None:
            return way
        lacking = missing(there, wanted)
        if now - began >= PATIENCE and lacking != said:
            _log.warning("%s", lacking)
            said = lacking
        # Nothing will come of waiting longer than until the next of these moments.
        moments = (changed + QUIET, began + PATIENCE)
        until = min((moment for moment in moments if moment > now), default=now + PATIENCE)
        if bell.wait(until - now):
            changed = ports.monotonic()
