"""The audit log as tests read it: by the names of the fields, once it is all there."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import requests
from msgspec.structs import asdict

from emulator.observe.audit import read

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 20.0
ANSWERED = re.compile(r"^imds_requests_total\{.*\} (\d+)$", re.MULTILINE)


def lines(path: Path) -> list[dict[str, Any]]:
    """Give the lines that are in the file."""
    found = (read(line) for line in path.read_bytes().splitlines())
    return [asdict(line) for line in found if line is not None]


def settled(path: Path, operator: str) -> list[dict[str, Any]]:
    """Give the lines once there are as many as the server, seen at ``operator``, has answered."""
    scraped = requests.get(f"{operator}/metrics", timeout=DEADLINE).text
    answered = sum(int(count) for count in ANSWERED.findall(scraped))
    for _ in range(int(DEADLINE / 0.02)):
        found = lines(path)
        if len(found) >= answered:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{answered} were answered, {len(lines(path))} are in the audit log")
