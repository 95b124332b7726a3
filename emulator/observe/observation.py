"""What is told of each answered request to whoever counts or keeps them, and when."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import msgspec

_LONGEST = 200

DELAY = 0.1
"""Seconds that an observation is held at most; so much is lost if the process is killed."""

_MOST_HELD = 256


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One answered request.

    ``time`` is seconds since the epoch, ``reason`` the refusal or empty, ``path`` normalised and
    cut to 200 characters; no query, header or body is kept but the user agent, cut likewise.
    ``session`` is ``given`` or ``absent`` where session tokens are taken, ``lifetime`` the seconds
    of one that was issued. One that ``waited`` hung until there was something new to tell.
    ``uuid`` is the machine's, ``fingerprint`` that of the session token that was given or issued.
    ``document`` is the class of what was asked for (``core.policy.Document``), ``spared`` the
    refusal that it would have had if what is only observed was enforced.
    """

    time: float
    vm: str
    dialect: str
    area: str
    method: str
    path: str
    status: int
    reason: str
    bytes: int
    duration_us: int
    user_agent: str
    peer: str
    namespace: str = ""
    uuid: str = ""
    session: str = ""
    lifetime: int = 0
    waited: bool = False
    fingerprint: str = ""
    document: str = "none"
    spared: str = ""


Observer = Callable[[Observation], None]
BatchObserver = Callable[[Sequence[Observation]], None]
"""Is told of several at once, in their order."""


def bounded(text: str) -> str:
    """Cut what a guest chose to a length that cannot flood a log."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


# A JWT, and what other tokens are made of: session tokens have 64 characters. A UUID is no secret.
_TOKEN = re.compile(
    r"eyJ[A-Za-z0-9_-]{8}"
    r"|(?<![A-Za-z0-9_-])(?![0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![A-Za-z0-9_-]))"
    r"[A-Za-z0-9_-]{32}"
)
# AWS's keys have slashes, as paths do. But chance has two in three neighbours of unlike kind, and
# words one in five.
_WINDOW = 16
_MIXED = 8
_SEPARATORS = re.compile(r"[/ ;:,=?&]")
REDACTED = "[redacted]"


def shown(text: str) -> str:
    """Give what may be kept of a text that a guest chose, cut like all others.

    From the first that looks like a secret on, nothing is: a program may well put a token into a
    path, or into the name by which it calls itself. Control characters are not, either.
    """
    return _shown(text[: _LONGEST + 2 * _WINDOW])


@lru_cache(maxsize=256)
def _shown(text: str) -> str:
    secret = _secret(text)
    if secret is not None:
        starts = (found.end() for found in _SEPARATORS.finditer(text, 0, secret + 1))
        text = text[: max(starts, default=0)] + REDACTED
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
        )
    return bounded(text)


def _secret(text: str) -> int | None:
    """Say where what looks like a secret begins, None if nothing does."""
    token = _TOKEN.search(text)
    begins = token.start() if token else None
    kinds = [
        (place, "a" if char.islower() else "A" if char.isupper() else "0")
        for place, char in enumerate(text)
        if char not in "/ "
    ]
    changes = [one[1] != other[1] for one, other in pairwise(kinds)]
    mixed = sum(changes[: _WINDOW - 1])
    for start in range(len(kinds) - _WINDOW + 1):
        window = kinds[start : start + _WINDOW]
        place, last = window[0][0], window[-1][0]
        if begins is not None and begins <= last:
            break
        if mixed >= _MIXED and len({kind for _, kind in window}) == 3:  # noqa: PLR2004 (all kinds)
            return place
        mixed += sum(changes[start + _WINDOW - 1 : start + _WINDOW]) - changes[start]
    return begins


class Batch:
    """An observer that passes on what it is told, several at once: it takes half of the time.

    One by one, each would find the processor's caches full of other things.
    """

    def __init__(self, each: Iterable[Observer], together: Iterable[BatchObserver]) -> None:
        """Tell ``each`` of one after the other, then those who take them ``together``."""
        self._each = tuple(each)
        self._together = tuple(together)
        self._seen: list[Observation] = []

    def __call__(self, seen: Observation) -> None:
        """Take an observation; needs the running event loop."""
        self._seen.append(seen)
        if len(self._seen) == 1:
            _ = asyncio.get_running_loop().call_later(DELAY, self.flush)
        elif len(self._seen) >= _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Pass on what has not been yet."""
        seen, self._seen = self._seen, []
        for observer in self._each:
            for one in seen:
                observer(one)
        if seen:
            for observe in self._together:
                observe(seen)
