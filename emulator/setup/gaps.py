"""What of the test run this machine, or this user, cannot do; each with its reason."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from emulator.setup import apt

SYSCTL = Path("/proc/sys")
# Setting -> the value with which unprivileged user namespaces are refused.
SWITCHES = {
    "kernel.apparmor_restrict_unprivileged_userns": "1",  # Ubuntu, from 23.10 on
    "kernel.unprivileged_userns_clone": "0",  # Debian
    "user.max_user_namespaces": "0",
}


class Gap(NamedTuple):
    """Tests that are left out: their markers, and why."""

    markers: tuple[str, ...]
    reason: str


def from_packages(missing: list[str]) -> Gap | None:
    """Tell what missing packages cost."""
    if not missing:
        return None
    line = apt.install_line(missing)
    return Gap(("guest", "client", "namespace"), f"packages are missing; as root, run: {line}")


def from_namespaces(refusing: str | None) -> Gap | None:
    """Tell what it costs that namespaces are refused, ``refusing`` being the cause."""
    if refusing is None:
        return None
    return Gap(("namespace", "guest"), f"no network namespace can be made: {refusing}")


def namespaces_refused_by(sysctl: Path = SYSCTL) -> str | None:
    """Try to make a network namespace; give the cause if it is refused."""
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ["unshare", *as_root, "--net", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    settings = [
        f"{name}={value}" for name, value in SWITCHES.items() if _setting(sysctl, name) == value
    ]
    return f"the setting {' and '.join(settings)}" if settings else done.stderr.strip()


def _setting(sysctl: Path, name: str) -> str:
    file = sysctl / name.replace(".", "/")
    return file.read_text().strip() if file.exists() else ""
