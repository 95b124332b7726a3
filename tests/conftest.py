"""What every test may ask for, and how a run is arranged."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING

import hypothesis
import pytest
from tornado.ioloop import IOLoop

from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from collections.abc import Iterator

# Guests take the processors while the other tests run: time says nothing about an example. In CI
# the examples are the same each time, so that a change fails by its own doing.
hypothesis.settings.register_profile(
    "imds",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("imds")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without",
        action="append",
        default=[],
        metavar="MARKER",
        help="leave out the tests that carry MARKER (what this machine cannot run)",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop what ``--without`` names, and start the guests first: they take the longest."""
    without = config.getoption("--without")
    left_out = [item for item in items if any(map(item.get_closest_marker, without))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    kept = [item for item in items if item not in set(left_out)]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("guest") is None)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Undo what a command that ran in this process set up, which would silence later tests."""
    loggers = [logging.getLogger(), logging.getLogger("tornado.general")]
    levels = [logger.level for logger in loggers]
    handlers = loggers[0].handlers[:]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in set(loggers[0].handlers).difference(handlers):
        loggers[0].removeHandler(handler)


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """Give pytest-tornado's loop, and close the one that asyncio would make beside it.

    Left behind, that one fails some later test, whenever it happens to be collected.
    """
    beside = asyncio.new_event_loop()
    asyncio.set_event_loop(beside)
    loop = IOLoop()
    loop.make_current()
    yield loop
    loop.clear_current()
    loop.close(all_fds=True)
    asyncio.set_event_loop(None)
    beside.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Give a TCP socket that listens on a free loopback port: no race for the number."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def fake_ports() -> FakePorts:
    """Give a fake of everything that the product asks of the outside world."""
    return FakePorts()
