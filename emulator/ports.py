"""The only clock, entropy and file access of the product; tests pass fakes of the same shape."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class Ports(msgspec.Struct, frozen=True):
    """What the outside world is asked for.

    ``wall`` gives seconds since the Unix epoch, ``monotonic`` seconds that never go back,
    ``random(n)`` n bytes fit for secrets, ``read(path)`` a whole file (raises ``OSError``).
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    random: Callable[[int], bytes]
    read: Callable[[str], bytes]


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


SYSTEM = Ports(wall=time.time, monotonic=time.monotonic, random=os.urandom, read=_read)
