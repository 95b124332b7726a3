"""What a guest says of itself: small texts by name, bounded in number, size and pace."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emulator.core.refusal import Refusal
from emulator.ports import Ports

MOST_TEXTS = 256
MOST_CHARACTERS = 16 << 10
"""Of one text."""
MOST_IN_ALL = 256 << 10
PER_SECOND = 10
"""Writes; Google documents as many queries for its guest attributes."""


class Written:
    """The texts of one machine, which it may write, replace and remove."""

    __slots__ = ("_kept", "_left", "_ports", "_since", "_size", "changes")

    def __init__(self, ports: Ports) -> None:
        """Start with none; ``ports`` tells the time between writes."""
        self._ports = ports
        self._kept: dict[str, str] = {}
        self._size = 0
        self._left = float(PER_SECOND)
        self._since = ports.monotonic()
        self.changes = 0

    @property
    def texts(self) -> Mapping[str, str]:
        """All of them, in the order of their names."""
        return MappingProxyType(dict(sorted(self._kept.items())))

    def write(self, name: str, value: str | None) -> Refusal | None:
        """Keep ``value`` as ``name``, or remove it with None; give why not.

        That is ``THROTTLED`` for too many writes, ``BAD_BODY`` for what would be too much, and
        ``NOT_FOUND`` for the removal of what is not there.
        """
        if not self._in_time():
            return Refusal.THROTTLED
        before = self._kept.get(name)
        if value is None:
            if before is None:
                return Refusal.NOT_FOUND
            self._size -= len(name) + len(before)
            del self._kept[name]
            self.changes += 1
            return None
        if value == before:
            return None
        more = len(value) - len(before) if before is not None else len(name) + len(value)
        crowded = before is None and len(self._kept) >= MOST_TEXTS
        if crowded or len(value) > MOST_CHARACTERS or self._size + more > MOST_IN_ALL:
            return Refusal.BAD_BODY
        self._size += more
        self._kept[name] = value
        self.changes += 1
        return None

    def _in_time(self) -> bool:
        now = self._ports.monotonic()
        self._left = min(PER_SECOND, self._left + (now - self._since) * PER_SECOND)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
