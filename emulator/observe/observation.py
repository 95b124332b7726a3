"""What is told of each answered request to whoever counts, keeps or follows them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

_LONGEST = 200


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One answered request.

    ``time`` is seconds since the epoch, ``reason`` the refusal or empty, ``path`` normalised and
    cut to 200 characters; no query, header or body is kept but the user agent, cut likewise.
    ``session`` is ``given`` or ``absent`` where session tokens are taken, ``lifetime`` the seconds
    of one that was issued. One that ``waited`` hung until there was something new to tell.
    ``uuid`` is the machine's.
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


Observer = Callable[[Observation], None]


def bounded(text: str) -> str:
    """Cut what a guest chose to a length that cannot flood a log."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
