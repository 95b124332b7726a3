"""A server as its user starts it: a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import requests

DEADLINE = 60


class Serving:
    """``imds-emulator serve`` on free ports, with its access log in a file."""

    def __init__(
        self, folder: Path, *arguments: str, operator: str = "127.0.0.1:0", state: str = ""
    ) -> None:
        self.log = folder / "access.jsonl"
        self.lines: list[str] = []
        self._listening = threading.Event()
        given = ("--listen", "127.0.0.1:0") if "--listen" not in arguments else ()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "emulator", "serve"),
                *arguments,
                *given,
                *("--operator", operator),
                *("--state", state or str(folder / "state")),
                *("--access-log", str(self.log)),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(("operator on", "try:")):
                self._listening.set()
        self._listening.set()

    def __enter__(self) -> Self:
        """Wait until it listens."""
        assert self._listening.wait(DEADLINE)
        assert self.process.poll() is None, self.lines
        return self

    def __exit__(self, *_: object) -> None:
        """End it, however it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _said(self, pattern: str) -> str:
        found = re.search(pattern, "\n".join(self.lines), re.MULTILINE)
        assert found, self.lines
        return found[1]

    @property
    def url(self) -> str:
        """Where guests ask."""
        return "http://" + self._said(r"^listening on (127\S+)$")

    @property
    def operator(self) -> str:
        """Where the operator asks."""
        return "http://" + self._said(r"^operator on (\S+)$")

    def get(self, path: str, **headers: str) -> requests.Response:
        """Ask as a guest."""
        return requests.get(self.url + path, headers=headers, timeout=DEADLINE)

    def seen(self) -> list[dict[str, object]]:
        """Give the access log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """Ask it to end, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def until(ready: object, seconds: float = 20) -> None:
    """Wait until the callable ``ready`` gives something true."""
    assert callable(ready)
    deadline = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if ready():
            return
        deadline.wait(0.05)
    raise AssertionError("it never became true")
