"""What is told of each answered request to whoever counts or keeps them, and when."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

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


Observer = Callable[[Observation], None]
BatchObserver = Callable[[Sequence[Observation]], None]
"""Is told of several at once, in their order."""


def bounded(text: str) -> str:
    """Cut what a guest chose to a length that cannot flood a log."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


# What tokens and keys are made of, in runs as long as the shortest of them: session tokens have 64
# characters, a JWT's parts 36 and more.
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,}")
# As long, and no secret.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# A secret access key of AWS may hold slashes: forty characters, of every kind.
_KEY = re.compile(
    r"(?<![A-Za-z0-9+/=])(?=[^A-Z]{0,39}[A-Z])(?=[^a-z]{0,39}[a-z])(?=[^0-9]{0,39}[0-9])"
    r"[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])"
)
REDACTED = "[redacted]"


def shown(text: str) -> str:
    """Give what may be kept of a text that a guest chose, cut like all others.

    What looks like a secret is not, nor are control characters. A program may well put a token
    into a path, or into the name by which it calls itself.
    """
    return _shown(text[: 4 * _LONGEST])


@lru_cache(maxsize=256)
def _shown(text: str) -> str:
    text = _KEY.sub(REDACTED, _SECRET.sub(_without, text))
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
        )
    return bounded(text)


def _without(run: re.Match[str]) -> str:
    return run[0] if _UUID.fullmatch(run[0]) else REDACTED


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
