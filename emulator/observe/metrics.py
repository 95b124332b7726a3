"""Counts what is answered, in plain numbers that a scrape turns into series."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping

from emulator.core.refusal import Refusal
from emulator.observe.observation import Observation
from emulator.ports import SYSTEM, Ports

BOUNDS_US = (500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
"""Upper bounds of the latency buckets, microseconds."""

OBJECTIVE_US = 50_000
"""What an answer may take, microseconds; one of the bounds."""

LIFETIMES = (60, 300, 900, 3_600, 10_800, 21_600)
"""Upper bounds of the session tokens' lifetimes, seconds; the last is the longest there is."""

LATELY = 300
"""Seconds for which credentials that were asked for are in use, at most; at least, half of it."""

MOST_VMS = 1_000
"""Machines that have series of their own; of more, the rest are counted together."""

# No machine can have such a name.
OTHERS = ("(other)", "(other)")

# The kind of token that is issued, by class of document and area.
_ISSUING: Mapping[str, Mapping[str, str]] = {
    "token": {
        "kubevirt-get": "serviceaccount",
        "gce-accounts": "gce-access",
        "azure-identity": "azure-access",
    },
    "session": {"kubevirt-session": "session", "ec2-token": "session"},
    "credentials": {"ec2-roles": "ec2-credentials"},
    "identity": {"gce-identity": "gce-identity"},
}
TOKENS = tuple(dict.fromkeys(kind for areas in _ISSUING.values() for kind in areas.values()))
OUTCOMES = ("success", "refused", "failure")

# Refusals that a request without its session token would not have had in any case.
_ANSWERED = frozenset({"", Refusal.NOT_FOUND, Refusal.UNKNOWN_IDENTITY, Refusal.UNAVAILABLE})
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
_READING = frozenset({"GET", "HEAD"})
_REASONS = frozenset(Refusal)


class Kind:
    """Requests of one kind: how many, and how long they took."""

    __slots__ = ("buckets", "microseconds")

    def __init__(self) -> None:
        """Start with none; the last bucket is for what exceeds every bound."""
        self.microseconds = 0
        self.buckets = [0] * (len(BOUNDS_US) + 1)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)


class Vm:
    """What one machine asked for: requests by status class, tokens by outcome, and the like."""

    __slots__ = (
        *("given", "hits", "refusals", "sessionless", "sessions", "spared", "statuses", "tokens"),
    )

    def __init__(self) -> None:
        """Start with nothing."""
        self.statuses = [0] * 6
        self.sessionless = 0
        self.given = 0
        self.hits = 0
        self.spared = 0
        self.sessions = 0
        self.tokens = dict.fromkeys(OUTCOMES, 0)
        # Of most machines there are none.
        self.refusals: dict[str, int] | None = None

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        if self.refusals is None:
            self.refusals = {}
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


class Ends:
    """The soonest end of what guests asked for lately, by provider.

    In turns of half that time, so that what was superseded, or is not asked for any more, is
    forgotten, however much there was of it.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._since = 0.0
        self._now: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def note(self, provider: str, expires: float, now: float) -> None:
        """Note, at the time ``now``, an end."""
        self._turn(now)
        self._now[provider] = min(expires, self._now.get(provider, expires))

    def soonest(self, now: float) -> dict[str, float]:
        """Give the ends that count at the time ``now``."""
        self._turn(now)
        found = dict(self._before)
        for provider, expires in self._now.items():
            found[provider] = min(expires, found.get(provider, expires))
        return found

    def _turn(self, now: float) -> None:
        passed = now - self._since
        if passed >= LATELY / 2:
            self._before = self._now if passed < LATELY else {}
            self._now = {}
            self._since = now


# Dialect, area, class of document, kind of token if any; method, status class, refusal if any,
# session, waited.
Key = tuple[tuple[str, str, str, str], str, int, str, str, bool]


class Metrics:
    """An observer; whatever guests send, its tables stay small.

    Dialect, area, document and reason are the code's own words, methods and statuses are put into
    classes, and machines are those that are served, up to ``most_vms``.
    """

    def __init__(self, most_vms: int = MOST_VMS, ports: Ports = SYSTEM) -> None:
        """Start at zero."""
        self.kinds: dict[Key, Kind] = {}
        self.vms: dict[tuple[str, str], Vm] = {}
        self.lifetimes = [0] * len(LIFETIMES)
        self.lifetime_seconds = 0
        self.refreshes: Counter[tuple[str, ...]] = Counter()
        self._ends = Ends()
        self._ports = ports
        self._most_vms = most_vms

    def __call__(self, seen: Observation) -> None:
        """Count one answered request."""
        document = seen.document
        token = issued(seen) if document in _ISSUING else ""
        method = seen.method if seen.method in _METHODS else "other"
        reason = seen.reason if not seen.reason or seen.reason in _REASONS else "other"
        status = seen.status // 100
        whose = (seen.dialect, seen.area, document, token)
        key = (whose, method, status, reason, seen.session, seen.waited)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = Kind()
        took = seen.duration_us
        kind.microseconds += took
        kind.buckets[bisect_left(BOUNDS_US, took)] += 1
        if seen.lifetime:
            self.lifetimes[bisect_left(LIFETIMES, seen.lifetime)] += 1
            self.lifetime_seconds += seen.lifetime
        if seen.vm:
            self._count(seen, token, status, reason)

    def _count(self, seen: Observation, token: str, status: int, reason: str) -> None:
        name = (seen.namespace, seen.vm)
        vm = self.vms.get(name)
        if vm is None:
            vm = self._made(name)
        vm.statuses[status] += 1
        if reason:
            vm.refused(reason)
        if seen.session:
            if seen.session == "given":
                vm.given += reason in _ANSWERED
            else:
                vm.sessionless += reason in _ANSWERED
                vm.spared += bool(seen.spared)
        if token:
            vm.tokens[outcome(status, reason)] += 1
        if seen.lifetime:
            vm.sessions += 1

    def _made(self, name: tuple[str, str]) -> Vm:
        if len(self.vms) >= self._most_vms:
            name = OTHERS
        return self.vms.setdefault(name, Vm())

    def limited(self, hits: Mapping[tuple[str, str], int]) -> None:
        """Take over how often machines were beyond a limit, all told."""
        for vm in self.vms.values():
            vm.hits = 0
        for name, count in hits.items():
            (self.vms.get(name) or self._made(name)).hits += count

    def forget_all_but(self, served: Collection[tuple[str, str]]) -> None:
        """Make room for others: drop machines that are not among ``served`` any more."""
        gone = [name for name in self.vms if name not in served and name != OTHERS]
        for name in gone:
            del self.vms[name]

    def refreshed(self, provider: str, *, ok: bool) -> None:
        """Count credentials that ``provider`` gave, or did not give."""
        self.refreshes[provider, "success" if ok else "failure"] += 1

    def used(self, provider: str, expires: float) -> None:
        """Note when something ends that a guest has asked for."""
        self._ends.note(provider, expires, self._ports.monotonic())

    @property
    def ends(self) -> dict[str, float]:
        """The soonest end of what guests asked for lately, by provider."""
        return self._ends.soonest(self._ports.monotonic())


def issued(seen: Observation) -> str:
    """Say what kind of token was asked for, empty if none was."""
    kind = _ISSUING.get(seen.document, {}).get(seen.area, "")
    return kind if seen.method == ("PUT" if kind == "session" else "GET") else ""


def outcome(status: int, reason: str) -> str:
    """Tell a server's ``failure`` from what was asked wrongly (``refused``) and ``success``."""
    if reason == Refusal.THROTTLED:
        # Its dialect may say 503.
        return "refused"
    if status >= 5 or reason == Refusal.UNAVAILABLE:  # noqa: PLR2004 (5xx)
        return "failure"
    return "success" if status == 2 else "refused"  # noqa: PLR2004 (2xx)


def was_answered(reason: str) -> bool:
    """Say whether a request passed the rules of its area, though it found nothing perhaps."""
    return reason in _ANSWERED


def was_read(method: str) -> bool:
    """Say whether a document was asked for, not something written."""
    return method in _READING
