"""How many files and connections the process may hold open."""

from __future__ import annotations

import resource

SPARE = 64
"""Descriptors beside connections: listeners, logs, files that are being read."""


def allow(wanted: int) -> int:
    """Raise the limit of open descriptors to ``wanted`` if that is permitted; give what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    granted = max(soft, wanted if unlimited else min(wanted, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted


def ceiling() -> int:
    """Give the number below which the descriptor of a guest's connection must be.

    The kernel gives the lowest free number. So some are left above for files, for services that
    are asked and for the operator, whatever guests do.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft - min(SPARE, soft // 4)
