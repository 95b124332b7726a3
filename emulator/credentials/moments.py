"""When keys end: as their giver says, or as is sensible where nobody says."""

from __future__ import annotations

import datetime as dt

UNSAID = 3600
"""Seconds that keys are said to live whose giver does not say."""


def moment(text: str) -> float | None:
    """Read a time (ISO 8601, in UTC unless it says otherwise), seconds since the epoch.

    None if it is none: what tools write into a profile beside its keys is theirs to choose.
    """
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=dt.UTC)).timestamp()


def span(lifetime: int, now: float) -> tuple[int, int]:
    """Give since and until when keys are good that live ``lifetime`` seconds, in turns.

    All ask at the same time get the same. At least half of the life is left, and 20 minutes where
    it is long enough: clients ask again when 15 are left (contract 3.5).
    """
    turn = max(60, min(lifetime // 2, lifetime - 1200))
    since = int(now // turn) * turn
    return since, since + lifetime
