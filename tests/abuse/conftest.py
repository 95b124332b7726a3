"""One server with every dialect for all tests of a module; after each it must be as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz.target import Target, attacked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("abuse")) as target:
        yield target


@pytest.fixture
def target(running: Target) -> Iterator[Target]:
    """Give the server; in the end it lives, has said nothing, and answers as ever."""
    yield running
    running.check()
