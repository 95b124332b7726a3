"""A server as its user starts it: a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from tests.support import audited
from tests.support.process import DEADLINE, UNLIMITED, Process, until

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEADLINE", "UNLIMITED", "Serving", "until"]


class Serving(Process):
    """``imds-emulator serve`` on free ports, with its audit log in a file."""

    LISTENS = ("operator on", "try:")

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        operator: str = "127.0.0.1:0",
        state: str = "",
        **how: Any,
    ) -> None:
        """Start it; ``how`` is a process's."""
        self.log = folder / "audit.jsonl"
        given = ("--listen", "127.0.0.1:0") if "--listen" not in arguments else ()
        super().__init__(
            *("serve", *arguments, *given),
            *("--operator", operator),
            *("--state", state or str(folder / "state")),
            *("--audit", str(self.log)),
            **how,
        )

    @property
    def url(self) -> str:
        """Where guests ask."""
        return "http://" + self.said(r"^listening on (127\S+)$")

    @property
    def operator(self) -> str:
        """Where the operator asks."""
        return "http://" + self.said(r"^operator on (\S+)$")

    def get(self, path: str, **headers: str) -> requests.Response:
        """Ask as a guest."""
        return requests.get(self.url + path, headers=headers, timeout=DEADLINE)

    def ready(self) -> dict[str, str]:
        """Give what is not ready, by cause."""
        answer = requests.get(f"{self.operator}/readyz", timeout=DEADLINE)
        causes: dict[str, str] = answer.json()["not_ready"]
        assert answer.status_code == (503 if causes else 200)
        return causes

    def metric(self, name: str) -> float:
        """Give the value of a series, named with its labels as it is exposed; 0 without one."""
        text = requests.get(f"{self.operator}/metrics", timeout=DEADLINE).text
        found = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert len(found) <= 1
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    def seen(self) -> list[dict[str, Any]]:
        """Give the audit log, of all that has been answered."""
        if self.process.poll() is not None:
            return audited.lines(self.log)
        return audited.settled(self.log, self.operator)
