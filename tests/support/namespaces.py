"""Network namespaces for tests, each held by a process that waits in it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE = 60
_HOLD = ("sh", "-c", "echo there; read wait")


def _held(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that says when it is there, and ends with us or when its input ends."""
    process = subprocess.Popen(
        [*command, *_HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n", command
    return process


def _release(process: subprocess.Popen[bytes]) -> None:
    process.communicate()


@functools.cache
def _as_root() -> tuple[str, ...]:
    """Give the prefix of commands that need root: nothing, or the way into a user namespace.

    It has more users than one: the sidecar becomes another.
    """
    if os.geteuid() == 0:
        return ()
    holder = _held(["unshare", "--user", "--map-root-user", "--map-auto"])
    atexit.register(_release, holder)
    return ("nsenter", "--user", "--preserve-credentials", "--target", str(holder.pid), "--")


class Namespace:
    """One network namespace; ``lo`` is up, and nothing else is there."""

    def __init__(self) -> None:
        self._keeper = _held([*_as_root(), "unshare", "--net"])
        self.pid = str(self._keeper.pid)
        self.ip("link set lo up")

    def inside(self, *command: str) -> list[str]:
        """Give ``command`` as one that runs in here."""
        return [*_as_root(), "nsenter", "--net", "--target", self.pid, "--", *command]

    def beside(self) -> list[str]:
        """Give the prefix of a command that has rights in here, but runs outside."""
        return list(_as_root())

    def run(self, *command: str, check: bool = True, given: str = "") -> str:
        """Run ``command`` in here, with ``given`` on its standard input; give what it printed."""
        done = subprocess.run(
            self.inside(*command),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=ROOT,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def start(self, *command: str, **how: Any) -> subprocess.Popen[str]:
        """Start ``command`` in here."""
        return subprocess.Popen(self.inside(*command), text=True, **how)

    def ip(self, *lines: str) -> None:
        """Run each of ``lines`` with ``ip``, all at once."""
        self.run("ip", "-batch", "-", given="\n".join(lines))

    def mac(self, link: str) -> str:
        """Give the hardware address of ``link``."""
        found = json.loads(self.run("ip", "-json", "link", "show", link))
        return str(found[0]["address"])

    def sysctl(self, **values: int) -> None:
        """Set ``net`` sysctls; in a name ``__`` stands for a dot."""
        for name, value in values.items():
            path = "/proc/sys/net/" + name.replace("__", "/")
            self.run("sh", "-c", f"echo {value} > {path}")

    def nft(self, rules: str) -> None:
        self.run("nft", "-f", "-", given=rules)

    def close(self) -> None:
        _release(self._keeper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def output(process: subprocess.Popen[str]) -> IO[str]:
    """Give the standard output of a process that was started with a pipe."""
    assert process.stdout is not None
    return process.stdout
