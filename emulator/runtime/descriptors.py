"""How many files and connections the process may hold open."""

from __future__ import annotations

import resource


def allow(wanted: int) -> int:
    """Raise the limit of open descriptors to ``wanted`` if that is permitted; give what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    granted = max(soft, wanted if unlimited else min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted
