"""Where instances come from: a file, a folder of files, a pod's downward-API folder."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.ports import SYSTEM, Ports
from emulator.sources.source import Source, open_path, open_pod

__all__ = ["Source", "load", "load_podinfo", "open_path", "open_pod"]


def load(path: str, vocabulary: Vocabulary, ports: Ports = SYSTEM) -> list[Instance]:
    """Give the instances described at ``path``. Raises ``ConfigError`` with every problem."""
    return open_path(path, vocabulary, ports).load()


def load_podinfo(
    folder: str,
    vocabulary: Vocabulary,
    ports: Ports = SYSTEM,
    environment: Mapping[str, str] | None = None,
) -> list[Instance]:
    """Give the one instance that a pod's folder describes. Raises ``ConfigError``."""
    return open_pod(folder, vocabulary, ports, environment).load()
