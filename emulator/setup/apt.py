"""Debian packages: what is missing, and installing it with the rights that there are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from emulator.setup.errors import SetupError

INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
# Wait for another apt (a fresh machine's own updates), ask a mirror again before giving up, draw
# no progress bars.
MANNERS = ("-oDPkg::Lock::Timeout=300", "-oAcquire::Retries=3", "-oDpkg::Use-Pty=0")
LISTS = Path("/var/lib/apt/lists")
STALE_AFTER = 24 * 3600.0  # seconds


def missing(names: Iterable[str]) -> list[str]:
    """Give those of ``names`` that are not installed."""
    names = list(names)
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        needs = " ".join(names)
        raise SetupError(f"this needs Debian or Ubuntu, or the equivalents of: {needs}") from None
    states = dict(line.split(" ", 1) for line in answer.stdout.splitlines())
    return [name for name in names if states.get(name) != "installed"]


def install_line(names: Iterable[str]) -> str:
    """Give the line that a person with the rights types."""
    return " ".join((*INSTALL, *names))


def privilege() -> tuple[str, ...] | None:
    """Give what to put before a command to run it as root, or nothing if there is no way."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    without_password = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    if without_password.returncode == 0 or sys.stdin.isatty():
        return ("sudo",)
    return None


def install(names: Iterable[str]) -> None:
    """Install ``names``, or raise with the line that would."""
    names = list(names)
    if not names:
        return
    root = privilege()
    if root is None:
        raise SetupError(f"neither root nor sudo here; as root, run:\n  {install_line(names)}")
    print(f"Installing packages: {' '.join(names)}", flush=True)
    if _lists_stale():
        _apt(root, "apt-get", "update", "--quiet")
    if _apt(root, *INSTALL, "--quiet", *names):
        return
    _apt(root, "apt-get", "update", "--quiet")
    if not _apt(root, *INSTALL, "--quiet", *names):
        raise SetupError(f"could not install packages; as root, run:\n  {install_line(names)}")


def _apt(root: tuple[str, ...], *command: str) -> bool:
    """Run apt-get without questions. A failed ``update`` may still leave lists that suffice."""
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive")
    stdin = None if root else subprocess.DEVNULL  # sudo may ask for a password
    done = subprocess.run([*root, *quiet, *command, *MANNERS], stdin=stdin, check=False)
    return done.returncode == 0


def _lists_stale() -> bool:
    if not any(LISTS.glob("*Packages*")):
        return True
    folders = [folder for folder in (LISTS, LISTS / "partial") if folder.exists()]
    touched = max(folder.stat().st_mtime for folder in folders)
    return time.time() - touched > STALE_AFTER
