"""Which descriptions a command works on: those it was given, or the sample."""

from __future__ import annotations

import os
from pathlib import Path

from emulator import sources
from emulator.dialects import VOCABULARY
from emulator.sources import Source

_PACKAGE = Path(__file__).parent.parent
_SHIPPED = _PACKAGE / "_data" / "sample.yaml"
SAMPLE = _SHIPPED if _SHIPPED.is_file() else _PACKAGE.parent / "fixtures/instances/sample.yaml"


def open_source(instances: str, podinfo: str = "") -> Source:
    """Give the source at ``podinfo`` (a pod's folder) or ``instances``; the sample for neither."""
    if podinfo:
        return sources.open_pod(podinfo, VOCABULARY, environment=os.environ)
    return sources.open_path(instances or str(SAMPLE), VOCABULARY)
