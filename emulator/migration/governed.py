"""A source of descriptions whose machines are held to the fleet's policy."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec

from emulator.errors import ConfigError
from emulator.migration.canary import chosen
from emulator.migration.modes import MODES, held_to, mode_of
from emulator.migration.policy import FleetPolicy, read
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.sources.files import Files, State, state

_log = logging.getLogger("imds")

_NAMED = 20
_WEAKER = frozenset({"optional", "observe"})

Name = tuple[str, str]


class Source(Protocol):
    """Where descriptions come from."""

    def load(self) -> list[Instance]:
        """Read them; raise ``ConfigError``."""

    def fingerprint(self) -> object:
        """Give a value that differs when ``load`` would."""


class Change(msgspec.Struct, frozen=True):
    """A change of the policy, told to the auditor: machines by mode, and names of some changed."""

    mode: str
    exceptions: int
    vms: Mapping[str, int]
    changed: int
    names: tuple[str, ...]


class Governed:
    """Gives the instances of another source as the policy in a file has them.

    A broken new version of the file leaves the last good one in force; ``problem`` says so.
    ``changes`` are those that nobody has been told of yet. Of ``percent`` of the machines that no
    exception is for, session tokens are required; ``members`` are these by name.
    """

    def __init__(self, path: str, source: Source, ports: Ports) -> None:
        """Read the policy at ``path``; raise ``ConfigError``."""
        self._path = path
        self._source = source
        self._ports = ports
        self._seen: Mapping[str, State] = {}
        self.policy = self._read()
        self.problem = ""
        self.changes: list[Change] = []
        self._given: object = None
        self._loaded: object = None
        self._instances: list[Instance] = []
        self._modes: dict[Name, str] = {}
        self._told: object = None
        self._withheld = 0
        self.percent = 0
        # What is in force with the last load: the percentage, and whom it holds by name.
        self.loaded_percent = 0
        self.members: frozenset[Name] = frozenset()

    def fingerprint(self) -> object:
        """Give a value that differs when ``load`` would; looks at the policy's file."""
        self._refresh()
        self._given = self._source.fingerprint()
        return self._given, self._force(), self._withheld

    def load(self) -> list[Instance]:
        """Give all instances; raise ``ConfigError``."""
        force = self._force()
        changed = self._told not in (None, force)
        # Where only the policy has changed, nothing need be read again.
        if not changed or self._loaded != self._given:
            self._load(changed=changed)
        held = self._held(self.percent)
        modes = {(one.namespace, one.name): mode_of(one) for one in held}
        if changed:
            self._note(modes)
        self._told, self._modes = force, modes
        return held

    def _load(self, *, changed: bool) -> None:
        """Read the descriptions; under a ``changed`` policy the former ones will do if need be."""
        try:
            self._instances = self._source.load()
        except ConfigError:
            if not changed:
                raise
            # With the next fingerprint, when the policy is in force, it is said.
            self._withheld += 1
        else:
            self._loaded = self._given

    @property
    def names(self) -> Collection[Name]:
        """All machines by name."""
        return self._modes.keys()

    def _held(self, percent: int) -> list[Instance]:
        """Give the instances as the policy has them; of ``percent`` tokens are required."""
        policy, now = self.policy, self._ports.wall()
        held = []
        open_to: dict[str, int] = {}
        for number, one in enumerate(self._instances):
            exempt = policy.exempting(one, now)
            held.append(held_to(one, exempt.mode if exempt is not None else policy.mode))
            if exempt is None and mode_of(held[-1]) in _WEAKER:
                open_to[one.uuid] = number
        salt = policy.canary.salt if policy.canary is not None else ""
        canary = [open_to[uuid] for uuid in chosen(salt, percent, open_to)] if percent else []
        for number in canary:
            held[number] = held_to(self._instances[number], "required")
        self.members = frozenset((held[n].namespace, held[n].name) for n in canary)
        self.loaded_percent = percent
        return held

    def _force(self) -> object:
        """Give a value that differs when the policy would hold machines to something else."""
        now = self._ports.wall()
        return self.policy, self.percent, tuple(one.ended(now) for one in self.policy.exceptions)

    def _read(self) -> FleetPolicy:
        files = Files(self._ports)
        try:
            return read(self._path, files)
        finally:
            self._seen = files.seen

    def _refresh(self) -> None:
        if all(state(path) == seen for path, seen in self._seen.items()):
            return
        try:
            self.policy = self._read()
        except ConfigError as error:
            self.problem = str(error)
            _log.error("the last good IMDSv2 policy stays in force:\n%s", error)
        else:
            self.problem = ""

    def _note(self, modes: dict[Name, str]) -> None:
        before = self._modes
        changed = sorted(name for name, mode in modes.items() if before.get(name, mode) != mode)
        counts = Counter(modes.values())
        self.changes.append(
            Change(
                mode=self.policy.mode,
                exceptions=len(self.policy.exceptions),
                vms={mode: counts[mode] for mode in MODES},
                changed=len(changed),
                names=tuple(map("/".join, changed[:_NAMED])),
            )
        )
