"""Follows a guest: its console, its requests, its end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from emulator.boot import verdict
from emulator.boot.console import Console, Event, clean, event
from emulator.boot.processes import Tail
from emulator.boot.verdict import Boot, Request, Verdict
from emulator.observe.audit import read

# QEMU pauses a guest whose disk cannot grow; it allocates in smaller pieces than this.
LEAST_FREE = 4 << 20

Say = Callable[[str], None]

_PROGRESS = {
    "firmware": "firmware starts {text}",
    "kernel": "kernel {text} starts",
    "stage": "cloud-init {detail} runs {text}",
    "warning": "warning: {text}",
    "error": "error: {text}",
    "final": "cloud-init {detail} finished, datasource {text}",
    "panic": "{text}",
    "power-off": "the guest powers off",
    "reboot": "the guest reboots",
}


class Sources(msgspec.Struct):
    """Where the news of a guest come from.

    ``status`` is QEMU's exit status, None while it runs; ``server`` the server's likewise;
    ``free`` the bytes left for the disk; ``interrupted`` whether somebody asked us to stop.
    """

    console: Tail
    audit: Tail
    status: Callable[[], int | None]
    server: Callable[[], int | None]
    free: Callable[[], int]
    interrupted: Callable[[], bool]


class Watch:
    """Turns news into progress, and at the end into a verdict."""

    def __init__(self, boot: Boot, sources: Sources, say: Say, echo: Say | None = None) -> None:
        """Report on ``boot`` by ``say``, each console line by ``echo`` if given."""
        self.boot = boot
        self.console = Console()
        self._sources = sources
        self._say = say
        self._echo = echo
        self._dialects: set[str] = set()
        self._line = b""

    def step(self, now: float) -> Verdict | None:
        """Take in what is new ``now`` seconds after the start; give the verdict, if any."""
        # Asked before the last news are read: what is written until the end is then not lost.
        status = self._sources.status()
        self.news(now)
        if status is not None:
            self._lines(self.console.finish(), now)
            return self.boot.exited(status)
        return self._trouble() or self.boot.verdict(now)

    def news(self, now: float) -> None:
        """Take in the console and the requests."""
        data = self._sources.console.read()
        if data:
            self.boot.sign(now)
            self._lines(self.console.feed(data), now)
        for request in self._requests():
            self.boot.sign(now)
            self.boot.request(request)
            self._asked(request, now)

    def _trouble(self) -> Verdict | None:
        if self._sources.interrupted():
            return Verdict("interrupted", "interrupted")
        if self._sources.server() is not None:
            return Verdict("server-died", "the metadata server ended during the boot")
        if self._sources.free() < LEAST_FREE:
            return Verdict("disk-full", "no space is left for the guest's disk")
        return None

    def _lines(self, lines: list[str], now: float) -> None:
        for line in lines:
            if self._echo is not None:
                self._echo(line)
            found = event(line)
            if found is not None:
                self.boot.event(found)
                self._progress(found, now)

    def _progress(self, found: Event, now: float) -> None:
        text = _PROGRESS.get(found.kind)
        if text:
            self._tell(now, text.format(text=found.text, detail=found.detail))

    def _requests(self) -> list[Request]:
        *whole, self._line = (self._line + self._sources.audit.read()).split(b"\n")
        return [verdict.request(line) for line in map(read, whole) if line is not None]

    def _asked(self, request: Request, now: float) -> None:
        what = clean(f"{request.method} {request.path} -> {request.status}")
        if len(self.boot.requests) == 1:
            agent = clean(request.user_agent) or "no user agent"
            self._tell(now, f"first request: {what} ({agent})")
        elif request.dialect and request.dialect not in self._dialects:
            self._tell(now, f"asks {request.dialect}: {what}")
        self._dialects.add(request.dialect)

    def _tell(self, now: float, text: str) -> None:
        self._say(f"{now:7.1f} s  {text}")
