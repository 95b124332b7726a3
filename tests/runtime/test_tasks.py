"""Background work is kept alive, and its failure is heard."""

from __future__ import annotations

import asyncio
import logging

import pytest

from emulator.runtime.tasks import spawn


def test_a_failure_is_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    async def main() -> None:
        task = spawn(fail(), "the work")
        await asyncio.wait([task])
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "the work failed" in caplog.text


def test_cancelled_work_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = spawn(asyncio.Event().wait(), "waiting")  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert caplog.text == ""
