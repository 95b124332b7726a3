"""Takes changed descriptions over while the old ones go on being served."""

from __future__ import annotations

import logging
from typing import Protocol

from emulator.dialects.ec2.section import Ec2
from emulator.errors import ConfigError
from emulator.model.instance import Instance
from emulator.server.backing import Backing
from emulator.server.fleet import Fleet
from emulator.server.lastgood import LastGood
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies

_log = logging.getLogger("imds")

# So many changed machines are rendered when they are loaded, so that a mistake is found then and
# the first request is a look-up; more would take minutes, and memory that few guests use.
EAGER = 500


class Source(Protocol):
    """Where descriptions come from."""

    def load(self) -> list[Instance]:
        """Read them; raise ``ConfigError``."""

    def fingerprint(self) -> object:
        """Give a value that differs when ``load`` would."""


class Reloader:
    """Makes fleets from a source, and another one when the source changes."""

    def __init__(
        self,
        source: Source,
        backing: Backing,
        *,
        sole: bool,
        proxies: Proxies,
        last_good: LastGood | None = None,
    ) -> None:
        """Read ``source``; with ``last_good`` given, start from it if the source is broken."""
        self._source = source
        self._backing = backing
        self._sole = sole
        self._proxies = proxies
        self._last_good = last_good
        self._fingerprint: object = None
        self._anew = False
        self.problem = ""
        # How often a change was taken over and was not, and when there was no problem last.
        self.taken = 0
        self.failed = 0
        self.good = 0.0

    def first(self) -> Fleet:
        """Make the first fleet; raise ``ConfigError`` if there is none to make."""
        self._fingerprint = self._source.fingerprint()
        try:
            fleet = self._fleet(self._source.load(), ())
        except ConfigError as error:
            kept = self._kept()
            if kept is None:
                raise
            self._report(error)
            return kept
        self.good = self._backing.ports.wall()
        return fleet

    def again(self, old: Fleet) -> Fleet | None:
        """Make another fleet if the source changed; None if it did not, or is broken now."""
        anew = False
        try:
            fingerprint = self._source.fingerprint()
            if fingerprint == self._fingerprint:
                return None
            self._fingerprint = fingerprint
            anew, self._anew = self._anew, False
            fleet = self._fleet(self._source.load(), old.machines, anew=anew)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old fleet goes on
            self._anew = self._anew or anew
            self._report(error)
            return None
        self.problem = ""
        self.taken += 1
        self.good = self._backing.ports.wall()
        _log.info("took over a change: %d instances", len(fleet.machines))
        return fleet

    def forget(self) -> None:
        """Have ``again`` read the source, and render everything anew once that can be read."""
        self._fingerprint = None
        self._anew = True

    def _kept(self) -> Fleet | None:
        kept = self._last_good.load() if self._last_good else None
        try:
            return self._fleet(kept, ()) if kept else None
        except ConfigError:
            return None

    def _report(self, error: Exception) -> None:
        self.problem = str(error) or repr(error)
        self.failed += 1
        unexpected = not isinstance(error, ConfigError)
        _log.error("the last good descriptions stay in service:\n%s", error, exc_info=unexpected)

    def _fleet(
        self, instances: list[Instance], old: tuple[Machine, ...], *, anew: bool = False
    ) -> Fleet:
        """Make machines; one whose description did not change keeps its rendered answers.

        With ``anew`` none does.
        """
        kept = {machine.instance.uuid: machine for machine in old}
        machines: list[Machine] = []
        changed: list[Machine] = []
        for instance in instances:
            machine = kept.get(instance.uuid)
            if machine is None or anew or machine.instance != instance:
                before = machine.served if machine is not None else None
                machine = Machine(instance, self._backing, before)
                changed.append(machine)
            machines.append(machine)
        for machine in changed:
            section = machine.instance.sections.get("ec2")
            if isinstance(section, Ec2):
                self._backing.credentials().check(machine.instance.name, section.credentials)
        # Also what somebody waits for, which would be rendered at once, and not in this thread.
        awaited = [new for new in changed[EAGER:] if _is_awaited(kept.get(new.instance.uuid))]
        for machine in (*changed[:EAGER], *awaited):
            machine.render()
        self._save(instances)
        if not self._sole and not self._proxies:
            _name_unreachable(instances)
        return Fleet(machines, sole=self._sole, proxies=self._proxies)

    def _save(self, instances: list[Instance]) -> None:
        if self._last_good is None:
            return
        try:
            self._last_good.save(instances)
        except OSError as error:
            _log.warning("cannot keep the last good descriptions: %s", error)


def _is_awaited(machine: Machine | None) -> bool:
    """Say whether anybody waits for ``machine``."""
    return machine is not None and machine.waiters > 0


def _name_unreachable(instances: list[Instance]) -> None:
    for instance in instances:
        if not instance.peer.addresses and not instance.peer.socket:
            why = "no request can be told to be its own; give it peer.addresses or peer.socket"
            _log.warning("%s: %s", instance.name, why)
