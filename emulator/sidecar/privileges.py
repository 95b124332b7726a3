"""Gives up what plumbing needed: for good, and checked."""

from __future__ import annotations

import os
import re
from pathlib import Path

from emulator.errors import StartError

STATUS = Path("/proc/self/status")

_CAPABILITIES = re.compile(rb"^Cap(Inh|Prm|Eff|Amb):\s*([0-9a-f]+)$", re.MULTILINE)


def drop(user: int) -> None:
    """Become ``user``, in the group of that number, without capabilities; raise ``StartError``.

    Supplementary groups stay, but for root's: the pod's ``fsGroup`` may read its volumes.
    """
    try:
        if os.geteuid() == 0:
            os.setgroups([group for group in os.getgroups() if group != 0])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
    except OSError as error:
        needed = "the container needs the capabilities SETUID and SETGID"
        raise StartError(f"cannot become user {user}: {error.strerror}; {needed}") from error
    left = held(STATUS.read_bytes())
    if left:
        raise StartError(f"capabilities are left that the server must not have: {left}")


def held(status: bytes) -> str:
    """Give the sets of capabilities in ``status`` (proc(5)) that are not empty, one a word."""
    sets = _CAPABILITIES.findall(status)
    return " ".join(
        f"Cap{name.decode()}={value.decode()}" for name, value in sets if int(value, 16)
    )
