"""A place that descriptions come from, read again only where it changed."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Mapping

from emulator.errors import ConfigError, Problem
from emulator.model.build import Built
from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.ports import SYSTEM, Ports
from emulator.sources.entry import Entry, duplicates, read_entry
from emulator.sources.files import Files, state

Reader = Callable[[str, Files], Built]

_ENDINGS = (".yaml", ".yml")


class Source:
    """Descriptions at one place, which may change while they are served.

    To watch it, compare ``fingerprint()`` with an earlier one and ``load()`` when it differs; what
    changes while ``load`` runs shows in the next fingerprint. What a guest's tokens are read from
    is not looked at: tokens are read for each request.
    """

    def __init__(self, path: str, read: Reader, ports: Ports, *, folder: bool) -> None:
        """Prepare to ``read`` the file at ``path``, or if ``folder`` those in it."""
        self._path = path
        self._read = read
        self._ports = ports
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        self._given: int | None = None
        self._loaded: tuple[int, int] | None = None

    def load(self) -> list[Instance]:
        """Give all instances, in the order of their files' names.

        Only what changed since the last call is read, or everything if nothing did. Raises
        ``ConfigError`` with the problems of all files.
        """
        again = self._loaded is not None and self._current() == self._loaded[0]
        old = {} if again else self._entries
        self._entries = {path: self._entry(path, old.get(path)) for path in self._paths()}
        states = self._hash(seen for e in self._entries.values() for seen in e.seen.items())
        self._loaded = (states, states if self._given is None else self._given)
        entries = self._entries.values()
        problems = [problem for entry in entries for problem in entry.problems]
        problems += duplicates(entries)
        if not self._entries:
            allowed = f"files ending in {' or '.join(_ENDINGS)}"
            problems.append(Problem(self._path, 0, "", "none in this folder", allowed))
        if problems:
            raise ConfigError(*problems)
        return [entry.instance for entry in entries if entry.instance is not None]

    def fingerprint(self) -> int:
        """Give a number that stays the same while ``load`` would give the same.

        Costs a look at the state of each file, and reads none.
        """
        now = self._current()
        # The same states hash differently before and after files were found to depend on others.
        self._given = self._loaded[1] if self._loaded and now == self._loaded[0] else now
        return self._given

    def _entry(self, path: str, old: Entry | None) -> Entry:
        if old is not None and old.current():
            return old
        return read_entry(lambda files: self._read(path, files), self._ports)

    def _paths(self) -> list[str]:
        if not self._folder or not os.path.isdir(self._path):  # noqa: PTH112 - it is polled
            return [self._path]
        names = Files(self._ports).names(self._path.rstrip("/"))
        return [
            os.path.join(self._path, name)  # noqa: PTH118 - as above
            for name in names
            if name.endswith(_ENDINGS)
        ]

    def _current(self) -> int:
        return self._hash(
            (path, state(path))
            for each in self._paths()
            for path in (self._entries[each].seen if each in self._entries else (each,))
        )

    @staticmethod
    def _hash(states: Iterator[tuple[str, object]]) -> int:
        """Fold the states into one number, so that a large folder's are not kept twice."""
        number = 0
        for pair in states:
            number = hash((number, pair))
        return number


def open_path(path: str, vocabulary: Vocabulary, ports: Ports = SYSTEM) -> Source:
    """Give the source at ``path``: a YAML file, or a folder of them."""
    from emulator.sources.yaml_file import read_file  # noqa: PLC0415  a pod has none

    def read(file: str, files: Files) -> Built:
        return read_file(file, vocabulary, files)

    return Source(path, read, ports, folder=True)


def open_pod(
    folder: str,
    vocabulary: Vocabulary,
    ports: Ports = SYSTEM,
    environment: Mapping[str, str] | None = None,
) -> Source:
    """Give the source at ``folder``, a pod's downward-API volume (see ``podinfo``)."""
    from emulator.sources.podinfo import read_pod  # noqa: PLC0415  most servers have no pod

    def read(path: str, files: Files) -> Built:
        return read_pod(path, vocabulary, files, environment or {})

    return Source(folder, read, ports, folder=False)
