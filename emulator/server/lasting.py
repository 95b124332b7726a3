"""What a machine remembers although its description changes."""

from __future__ import annotations

from emulator.core.written import Written
from emulator.ports import Ports


class Lasting:
    """What its guest has said, and what depends on what it was told.

    ``written`` is what the guest says of itself, ``allowed`` the events that it lets begin, by id,
    and since when; ``tag`` and ``number`` are of the last document of a sequence. ``reported`` is
    what it last said of its boot: a word, and why.
    """

    __slots__ = ("allowed", "number", "reported", "tag", "written")

    def __init__(self, ports: Ports) -> None:
        """Start with nothing."""
        self.written = Written(ports)
        self.allowed: dict[str, float] = {}
        self.tag = ""
        self.number = 0
        self.reported = ("", "")

    @property
    def changes(self) -> tuple[int, int]:
        """Tell one state of what documents show of it from every later one."""
        return self.written.changes, len(self.allowed)
