"""Which descriptions a command works on: those it was given, or the sample."""

from __future__ import annotations

import os
from pathlib import Path

from emulator import sources
from emulator.dialects import VOCABULARY
from emulator.model.instance import Instance
from emulator.ports import SYSTEM

_PACKAGE = Path(__file__).parent.parent
_SHIPPED = _PACKAGE / "_data" / "sample.yaml"
SAMPLE = _SHIPPED if _SHIPPED.is_file() else _PACKAGE.parent / "fixtures/instances/sample.yaml"


class _Plain:
    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> list[Instance]:
        return sources.load(self._path, VOCABULARY, SYSTEM)

    def fingerprint(self) -> object:
        return os.stat(self._path).st_mtime_ns


def open_source(instances: str, podinfo: str = "") -> _Plain:
    """Give the source at ``instances`` or ``podinfo``, or the sample for neither."""
    return _Plain(instances or str(SAMPLE))
