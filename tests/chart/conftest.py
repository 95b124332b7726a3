"""Helm, with and without something to install into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.chart.api_server import Cluster, running
from tests.chart.helm import WHEELS, Helm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=WHEELS, ids=lambda version: f"helm{version}")
def helm(request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    """Give each version of Helm, without a cluster."""
    return Helm(request.param, tmp_path)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Give an empty cluster."""
    with running(Cluster()) as it:
        yield it


@pytest.fixture
def connected(helm: Helm, cluster: Cluster, tmp_path: Path) -> Helm:
    """Give each version of Helm with a cluster to install into."""
    file = tmp_path / "kubeconfig"
    file.write_text(cluster.kubeconfig())
    return msgspec.structs.replace(helm, kubeconfig=str(file))
