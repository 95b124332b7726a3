"""Google's guest agent, in a small Debian made of Debian's packages, once for all tests."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from typing import TYPE_CHECKING

from emulator.boot.images.build import privilege
from tests.support import cloudinit_source

if TYPE_CHECKING:
    from pathlib import Path

# Debian 12 and the current release have the same version of it.
SUITE = cloudinit_source.SUITES["current"]
PACKAGES = ("google-guest-agent", "openssh-client", "passwd")
UNNEEDED = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
AGENT = "./usr/bin/google_guest_agent"


def archive() -> Path:
    """Give the file system's archive."""
    key = hashlib.sha256("\n".join((*PACKAGES, *UNNEEDED)).encode()).hexdigest()[:12]
    return cloudinit_source._once(f"guest-agent-{SUITE}-{key}", _make) / "root.tar"


def agent() -> bytes:
    """Give the program alone."""
    with tarfile.open(archive()) as file:
        found = file.extractfile(AGENT)
        assert found is not None
        return found.read()


def _make(folder: Path) -> None:
    command = ["mmdebstrap", "--quiet", f"--mode={privilege().mode}", "--variant=essential"]
    command += [f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={path}" for path in UNNEEDED]
    done = subprocess.run(
        [*command, SUITE, str(folder / "root.tar")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
