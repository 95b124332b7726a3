"""A provider of keys with a clock that tests move, and what it may ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest

from emulator.core.message import ServiceToken
from emulator.credentials import Credentials
from emulator.model.instance import Instance, Placement
from emulator.ports import SYSTEM, Ports
from emulator.runtime import tasks
from tests.credentials.sts import Sts
from tests.support.ports import FakePorts

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2VjcmV0LXNpZ25hdHVyZQ"

VM = Instance(
    name="web-1",
    uuid="11111111-1111-4111-8111-111111111111",
    placement=Placement(region="eu-central-1"),
)


class Bench:
    """Credentials with everything around them that a test may turn."""

    def __init__(self, clock: FakePorts) -> None:
        clock.now = time.time()
        self.clock = clock
        self.token: ServiceToken | Exception | None = ServiceToken(TOKEN, None)
        self.audiences: list[str] = []
        self.key: bytes | Exception = b"key"
        self.work: list[asyncio.Task[None]] = []
        self.credentials = self.made(processes=True)

    @property
    def ports(self) -> Ports:
        """A moved clock, but real files."""
        return msgspec.structs.replace(self.clock.ports, read=SYSTEM.read)

    def made(self, *, processes: bool) -> Credentials:
        return Credentials(
            self.ports, self._key, self._tokens, spawn=self._spawn, processes=processes
        )

    async def settled(self) -> None:
        """Wait for what runs in the background."""
        await asyncio.gather(*self.work)

    def _key(self) -> bytes:
        if isinstance(self.key, Exception):
            raise self.key
        return self.key

    async def _tokens(self, instance: Instance, audience: str) -> ServiceToken | None:
        self.audiences.append(audience)
        if isinstance(self.token, Exception):
            raise self.token
        return self.token

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        self.work.append(tasks.spawn(work, name))
        return self.work[-1]


@pytest.fixture
def bench(fake_ports: FakePorts) -> Bench:
    return Bench(fake_ports)


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as server:
        yield server


Shows = Callable[..., None]


@pytest.fixture
def shows_none(caplog: pytest.LogCaptureFixture) -> Shows:
    """Check that no secret is in the log, nor in how values and errors show themselves."""
    caplog.set_level("DEBUG")

    def check(secrets: list[str], *values: object) -> None:
        shown = caplog.text + "".join(repr(value) + str(value) for value in values)
        assert [secret for secret in secrets if secret in shown] == []

    return check


def wait(awaitable: Awaitable[Any]) -> Any:
    """Run until ``awaitable`` is there."""

    async def main() -> Any:
        return await awaitable

    return asyncio.run(main())
