"""The one place where background work starts: kept alive, and heard when it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_running: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    """Run ``work`` in the background; a failure is logged under ``name``."""
    task = asyncio.create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_done)
    return task


def _done(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logging.getLogger("imds").error("%s failed", task.get_name(), exc_info=task.exception())
