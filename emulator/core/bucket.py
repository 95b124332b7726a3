"""How much each machine may ask for: token buckets, each of them one number (contract 9.3-6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from math import inf

import msgspec

from emulator.model.config import Limits


class Bucket(msgspec.Struct, frozen=True):
    """What comes back at a ``rate`` a second, up to ``burst``; a rate of 0 is no limit.

    Who takes of it keeps one number: the moment at which all will have come back (GCRA, the
    generic cell rate algorithm). So a bucket that nobody takes of costs nothing.
    """

    rate: float
    burst: float
    each: float = 0.0
    whole: float = 0.0

    def __post_init__(self) -> None:
        """Reckon in seconds, in which a request's time is known: those of ``each``, and of all."""
        each = 1 / self.rate if self.rate else 0.0
        # What was taken and came back to the last bit may be off by it.
        whole = self.burst * each + 1e-6 if self.rate else inf
        msgspec.structs.force_setattr(self, "each", each)
        msgspec.structs.force_setattr(self, "whole", whole)

    def taken(self, back: float, now: float, amount: float) -> float:
        """Give when all will have come back, which was to be ``back``, after ``amount`` more."""
        return max(back, now) + amount * self.each


class Pace(msgspec.Struct, frozen=True):
    """The buckets that every machine has: of requests, and of answered bytes."""

    requests: Bucket
    answered: Bucket

    @classmethod
    def of(cls, limits: Limits) -> Pace:
        """Make them as they are configured."""
        return cls(
            requests=Bucket(limits.requests_of_vm, limits.requests_at_once),
            answered=Bucket(limits.bytes_of_vm, limits.bytes_at_once),
        )


class Hits(Counter[str]):
    """How often a limit was hit, by its name; ``of`` a machine, by its UUID, where it was its."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.of: Counter[str] = Counter()

    def note(self, limit: str, whose: str | None = None) -> None:
        """Count one, of the machine ``whose`` it is if it is one's."""
        self[limit] += 1
        if whose:
            self.of[whose] += 1

    def forget_all_but(self, served: Container[str]) -> None:
        """Forget the machines that are not ``served`` any more."""
        for uuid in [uuid for uuid in self.of if uuid not in served]:
            del self.of[uuid]


class Crowd:
    """Connections by whose they are, wherever they come in: all, and those that only wait."""

    def __init__(self) -> None:
        """Begin with none."""
        self.held: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()

    def begins(self, whose: str) -> None:
        """Count another one."""
        self.held[whose] += 1

    def ends(self, whose: str) -> None:
        """Count one less."""
        _count_off(self.held, whose)

    def waits(self, whose: str) -> None:
        """Count one more of them that waits for a change."""
        self.waiting[whose] += 1

    def waited(self, whose: str) -> None:
        """Count one less of those."""
        _count_off(self.waiting, whose)

    def busy(self, whose: str) -> int:
        """Say how many there are that do not wait."""
        return self.held[whose] - self.waiting[whose]


def _count_off(counter: Counter[str], whose: str) -> None:
    counter[whose] -= 1
    if not counter[whose]:
        del counter[whose]


class Meter:
    """What one machine has taken: the moments at which its buckets will be full."""

    __slots__ = ("answered", "requests")

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self.requests = self.answered = 0.0

    def asks(self, pace: Pace, now: float) -> str:
        """Take a request; give the name of the limit that it is beyond, empty if of none."""
        if self.answered - now > pace.answered.whole:
            return "bytes_of_vm"
        bucket = pace.requests
        back = self.requests
        # A third of the time that taken() takes, as every request does this.
        back = (back if back > now else now) + bucket.each  # noqa: FURB136  so does max()
        if back - now > bucket.whole:
            return "requests_of_vm"
        self.requests = back
        return ""

    def affords(self, pace: Pace, now: float, requests: float) -> bool:
        """Take as much as so many requests, if that is left."""
        back = pace.requests.taken(self.requests, now, requests)
        if back - now > pace.requests.whole:
            return False
        self.requests = back
        return True

    def answers(self, pace: Pace, now: float, size: int) -> None:
        """Take the bytes of an answer; those of the last may be more than are left."""
        self.answered = pace.answered.taken(self.answered, now, size)
