"""Reads a guest's serial console: which phase it is in, and what cloud-init says of itself.

An unmodified image says on its console what is needed here: the kernel its start, cloud-init its
stages, its warnings, and at the end its final message with the datasource. An owner can replace
that message by user data; then the end is known from systemd's own line, without the datasource.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Kind = Literal[
    "firmware",
    "no-loader",
    "kernel",
    "panic",
    "no-root",
    "emergency",
    "stage",
    "warning",
    "error",
    "final",
    "ended",
    "login",
    "power-off",
    "reboot",
]

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_()=>]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST_LINE = 4096

# The first that matches a line decides; the groups are the event's text and detail.
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("panic", re.compile(r"(Kernel panic - not syncing.*)")),
    ("final", re.compile(r"Cloud-init v\. (?P<detail>\S+) finished at .*?Datasource (\w+)")),
    ("stage", re.compile(r"Cloud-init v\. (?P<detail>\S+) running '([\w:-]+)'")),
    # A module that fails is only a warning to cloud-init's log, but an error to its result.
    ("error", re.compile(r"\[WARNING\]: ((?:Running module|Failed to (?:run|start)).* failed.*)")),
    ("error", re.compile(r"(?:\[(?:ERROR|CRITICAL)\]: )(.*)")),
    ("error", re.compile(r"\[FAILED\] Failed to start (cloud-(?:init|config|final).*)")),
    ("warning", re.compile(r"\[WARNING\]: (.*)")),
    (
        "ended",
        re.compile(r"(?:Finished \S*cloud-final\.|Reached target \S*cloud-init\.target)(.*)"),
    ),
    ("no-root", re.compile(r"(ALERT!.*does not exist.*|Gave up waiting for root.*)")),
    ("emergency", re.compile(r"(You are in emergency mode.*)")),
    ("no-loader", re.compile(r"(BdsDxe: No bootable option.*|.*No bootable device.*|^Shell> .*)")),
    ("firmware", re.compile(r"BdsDxe: starting (\S+)")),
    ("kernel", re.compile(r"Linux version (\S+)")),
    ("power-off", re.compile(r"(reboot: Power down|System halted)")),
    ("reboot", re.compile(r"reboot: (Restarting system)")),
    ("login", re.compile(r"(\S+) login: ")),
)


class Event(msgspec.Struct, frozen=True):
    """Something of note on the console: its kind, what it says, and a version where one is told.

    ``text`` is the kernel's version for ``kernel``, the stage for ``stage``, the datasource's
    class for ``final``, the host name for ``login`` and the message for the others.
    """

    kind: Kind
    text: str
    detail: str = ""


def clean(text: str) -> str:
    """Take out what would steer a terminal; a guest may write anything."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def event(line: str) -> Event | None:
    """Give what a cleaned line says, None for most."""
    for kind, pattern in _PATTERNS:
        found = pattern.search(line)
        if found:
            groups = found.groupdict()
            return Event(kind, _text(found), groups.get("detail") or "")
    return None


class Console:
    """Cuts the bytes of a console into cleaned lines; keeps the last ones."""

    def __init__(self, keep: int = 40) -> None:
        """Keep the last ``keep`` lines that are not empty."""
        self._rest = b""
        self._keep = keep
        self.tail: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        """Give the lines that ``data`` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            whole.append(self._rest)
            self._rest = b""
        return self._take(whole)

    def finish(self) -> list[str]:
        """Give the line that was never ended."""
        rest, self._rest = self._rest, b""
        return self._take([rest])

    def _take(self, raw: list[bytes]) -> list[str]:
        lines = [clean(line.decode("utf-8", "replace")).rstrip() for line in raw]
        lines = [line for line in lines if line]
        self.tail = [*self.tail, *lines][-self._keep :]
        return lines


def _text(found: re.Match[str]) -> str:
    return next(
        (group for group in found.groups() if group != found.groupdict().get("detail")), ""
    )
