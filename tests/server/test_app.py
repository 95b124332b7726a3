"""What the whole server survives."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from emulator.dialects import VOCABULARY
from emulator.model.config import ServeConfig
from emulator.ports import SYSTEM
from emulator.runtime.tasks import spawn
from emulator.server.app import Server
from emulator.sources import open_path


def served(folder: Path, operator: str = "off") -> Server:
    (folder / "vm.yaml").write_text("name: web-1\n")
    config = ServeConfig(
        instances=str(folder / "vm.yaml"),
        state=str(folder / "state"),
        operator=operator,
        reload_seconds=0.01,
    )
    source = open_path(config.instances, VOCABULARY, SYSTEM)
    return Server(config, source, {}, SYSTEM)


def test_who_watches_goes_on_whatever_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        server = served(tmp_path)
        looks = asyncio.Semaphore(0)
        said: list[Any] = []

        async def failing() -> None:
            said.append(json.loads(server._readiness.page().body)["not_ready"].get("watching"))
            looks.release()
            if len(said) == 1:
                raise RuntimeError("a waiter")

        monkeypatch.setattr(server, "_take_over", failing)
        watching = spawn(server._watch(), "watching")
        for _ in range(3):
            await asyncio.wait_for(looks.acquire(), 10)
        watching.cancel()
        assert said == [None, "RuntimeError('a waiter')", None]

    asyncio.run(main())


def test_what_nobody_can_scrape_is_not_counted(tmp_path: Path) -> None:
    assert served(tmp_path).hub.observers == ()
    assert len(served(tmp_path, "127.0.0.1:0").hub.observers) == 1
