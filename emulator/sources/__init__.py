"""Where instances come from: a file, a folder of files, a pod's downward-API folder."""

from __future__ import annotations

from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.ports import SYSTEM, Ports
from emulator.sources.files import Files
from emulator.sources.yaml_file import read_file


def load(path: str, vocabulary: Vocabulary, ports: Ports = SYSTEM) -> list[Instance]:
    """Give the instances described at ``path``. Raises ``ConfigError`` with every problem."""
    return [read_file(path, vocabulary, Files(ports)).instance]
