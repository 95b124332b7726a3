"""A command of the product as its users run it: a process of its own that says what it does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEADLINE = 60

# For loads that stand for many machines'.
UNLIMITED = ("--limit", "requests_of_vm=0", "--limit", "bytes_of_vm=0")


class Process:
    """``imds-emulator`` with the given arguments; ``lines`` grow by its standard error."""

    LISTENS: tuple[str, ...] = ("listening on",)
    """How the line begins that says that it listens."""

    def __init__(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it; ``prefix`` is a command that becomes it (``prlimit``, ``nsenter``)."""
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "emulator", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(self.LISTENS):
                self._listening.set()
        self._listening.set()

    def __enter__(self) -> Self:
        """Wait until it listens."""
        try:
            self.wait()
        except AssertionError:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def wait(self) -> None:
        """Return once it listens."""
        assert self._listening.wait(DEADLINE)
        assert any(line.startswith(self.LISTENS) for line in self.lines), self.lines
        assert self.process.poll() is None, self.lines

    def close(self) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def said(self, pattern: str) -> str:
        """Give the group in a line that it said."""
        found = re.search(pattern, "\n".join(self.lines), re.MULTILINE)
        assert found, self.lines
        return found[1]

    def cpu(self) -> float:
        """Give the processor seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        """Ask it to end, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def until(ready: Callable[[], object], seconds: float = 20) -> None:
    """Wait until ``ready`` gives something true."""
    deadline = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if ready():
            return
        deadline.wait(0.05)
    raise AssertionError("it never became true")
