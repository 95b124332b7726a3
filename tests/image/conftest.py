"""The image on each of the systems that it may be built on.

All that concerns one of them is one worker's, so that nothing is built or loaded twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.image import made
from tests.image.archive import Archive
from tests.image.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

ON = [
    pytest.param(suite, marks=pytest.mark.xdist_group(f"image-{suite}")) for suite in made.SUITES
]


@pytest.fixture(scope="session", params=ON)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def archive(suite: str) -> Archive:
    return Archive(made.image(suite))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine, archive: Archive, suite: str) -> str:
    """Give the name of the image, ready to be run by ``engine``."""
    return engine.load(archive.path, f"localhost/imds-emulator:{suite}")


@pytest.fixture(scope="session")
def base(engine: Engine, suite: str) -> str:
    """Give the name of the plain system that the image was built on: it has a shell."""
    return engine.take(made.base(suite), f"localhost/base:{suite}")
