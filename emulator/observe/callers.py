"""Who would be refused if session tokens were required everywhere (IMDSv2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from emulator.core.refusal import Refusal
from emulator.observe.advice import advice
from emulator.observe.audit import Line, timestamp
from emulator.observe.metrics import was_answered
from emulator.observe.observation import Observation

# A guest that gives itself many names fills no memory.
_MOST_CALLERS = 5_000
_MOST_OF_ONE = 50
_MOST_PATHS = 50
OTHER = "(other)"


class Caller(msgspec.Struct, kw_only=True):
    """A client of a machine that asks without a session token; times are RFC 3339, in UTC.

    ``requests`` were answered, ``refused`` were not.
    """

    namespace: str
    vm: str
    user_agent: str
    requests: int = 0
    refused: int = 0
    first: str = ""
    last: str = ""
    paths: dict[str, int] = msgspec.field(default_factory=dict)
    advice: str = ""
    source: str = ""


class Machine(msgspec.Struct, kw_only=True):
    """What a machine asked where session tokens are taken: ``requests``, and those without one."""

    requests: int = 0
    without: int = 0


class Finding(msgspec.Struct, kw_only=True):
    """Who asks without session tokens, and on what evidence.

    ``callers`` would be refused; those in ``refused`` are already, and did not come back with a
    token. ``machines`` are by namespace and name. Of ``lines`` of logs, ``unread`` are none.
    """

    lines: int = 0
    unread: int = 0
    machines: dict[str, Machine] = msgspec.field(default_factory=dict)
    callers: list[Caller] = msgspec.field(default_factory=list)
    refused: list[Caller] = msgspec.field(default_factory=list)


_Key = tuple[str, str, str]


class Callers:
    """Gathers callers, from a log or while a server runs; what it holds is bounded."""

    def __init__(self) -> None:
        """Start with none."""
        self._callers: dict[_Key, Caller] = {}
        # Those that were refused, and have had nothing with a token since.
        self.refused: set[_Key] = set()
        self._names: Counter[tuple[str, str]] = Counter()

    def note(self, seen: Line | Observation) -> None:
        """Note a request that was made where session tokens are taken."""
        key = self._key(seen.namespace, seen.vm, seen.user_agent)
        answered = was_answered(seen.reason)
        if seen.session == "given":
            if answered:
                self.refused.discard(key)
        elif answered or seen.reason == Refusal.SESSION_MISSING:
            caller = self._caller(key)
            caller.requests += answered
            caller.refused += not answered
            if not answered:
                self.refused.add(key)
            _add(caller, seen.path, seen.time if isinstance(seen, Line) else timestamp(seen.time))

    def merge(self, finding: Finding) -> None:
        """Note what another one has found."""
        for other in (*finding.callers, *finding.refused):
            key = self._key(other.namespace, other.vm, other.user_agent)
            caller = self._caller(key)
            if not other.requests:
                self.refused.add(key)
            caller.requests += other.requests
            caller.refused += other.refused
            for path, count in other.paths.items():
                _add(caller, path, other.first, count)
            caller.last = max(caller.last, other.last)

    def found(self) -> tuple[list[Caller], list[Caller]]:
        """Give those who would be refused, and those who are."""
        would, are = [], []
        for key, caller in self._callers.items():
            if caller.requests:
                would.append(caller)
            elif key in self.refused:
                are.append(caller)
        return list(_advised(would)), list(_advised(are))

    def _key(self, namespace: str, vm: str, user_agent: str) -> _Key:
        key = (namespace, vm, user_agent)
        if key in self._callers:
            return key
        many = self._names[namespace, vm] >= _MOST_OF_ONE
        return (namespace, vm, OTHER) if many else key

    def _caller(self, key: _Key) -> Caller:
        caller = self._callers.get(key)
        if caller is None:
            if len(self._callers) >= _MOST_CALLERS:
                key = (OTHER, OTHER, OTHER)
            self._names[key[:2]] += 1
            namespace, vm, user_agent = key
            made = Caller(namespace=namespace, vm=vm, user_agent=user_agent)
            caller = self._callers.setdefault(key, made)
        return caller


def find(lines: Iterable[Line | None], since: float = 0) -> Finding:
    """Go through ``lines``, None for each that could not be read, from ``since`` on (epoch)."""
    found = Finding()
    callers = Callers()
    for line in lines:
        if line is None:
            found.unread += 1
        elif line.seconds >= since:
            found.lines += 1
            if line.session:
                machine = found.machines.setdefault(f"{line.namespace}/{line.vm}", Machine())
                machine.requests += 1
                machine.without += line.session == "absent" and was_answered(line.reason)
                callers.note(line)
    found.callers, found.refused = callers.found()
    return found


def together(findings: Iterable[Finding]) -> Finding:
    """Make one of several."""
    whole, callers = Finding(), Callers()
    for one in findings:
        whole.lines += one.lines
        whole.unread += one.unread
        for name, machine in one.machines.items():
            mine = whole.machines.setdefault(name, Machine())
            mine.requests += machine.requests
            mine.without += machine.without
        callers.merge(one)
    whole.callers, whole.refused = callers.found()
    return whole


def _add(caller: Caller, path: str, time: str, count: int = 1) -> None:
    caller.first = min(caller.first or time, time)
    caller.last = max(caller.last, time)
    if path in caller.paths or len(caller.paths) < _MOST_PATHS:
        caller.paths[path] = caller.paths.get(path, 0) + count


def _advised(callers: Iterable[Caller]) -> Iterator[Caller]:
    for caller in sorted(callers, key=lambda one: -one.requests - one.refused):
        caller.paths = dict(Counter(caller.paths).most_common())
        said = advice(caller.user_agent, next(iter(caller.paths), ""))
        caller.advice, caller.source = said.what, said.source
        yield caller
