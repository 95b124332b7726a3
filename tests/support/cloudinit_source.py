"""Debian's packages that tests need without installing them on the host: cloud-init, Prometheus.

The package of a release is downloaded and unpacked, nothing more: mmdebstrap knows the mirror and
its keys on Debian and Ubuntu alike, and works without root. The Python libraries that cloud-init
needs come into a virtual environment beside it. All are cached, made once however many test
processes ask, and a failure to make them fails the test that asked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Release = Literal["debian-12", "current"]

# "current" is Debian's stable release: unstable's index is at times expired on mirrors, and its
# content changes from one day to the next, so a test would fail without any change of ours.
SUITES: dict[Release, str] = {"debian-12": "bookworm", "current": "trixie"}

# What cloud-init's own packages depend on, less netifaces, which has no wheel and which only its
# VMware datasource imports.
REQUIREMENTS = (
    "configobj>=5,<6",
    "jinja2>=3,<4",
    "jsonpatch>=1,<2",
    "jsonschema>=4,<5",
    "oauthlib>=3,<4",
    "pyserial>=3,<4",
    "pyyaml>=6,<7",
    "requests>=2,<3",
)


def unpack(release: Release) -> Path:
    """Give the folder to put on PYTHONPATH so that ``import cloudinit`` finds ``release``."""
    folder = _once(
        f"cloud-init-{SUITES[release]}",
        lambda made: _download("cloud-init", SUITES[release], made),
    )
    return folder / "usr/lib/python3/dist-packages"


def python(release: Release) -> Path:
    """Give an interpreter that has the libraries that ``release`` imports."""
    key = hashlib.sha256("\n".join((sys.version, *REQUIREMENTS)).encode()).hexdigest()[:12]
    del release  # the two happen to need the same
    return _once(f"cloud-init-python-{key}", _make_venv) / "bin/python"


def prometheus() -> Path:
    """Give the folder with Debian's ``prometheus`` and ``promtool``.

    Installed, the package would start a service.
    """
    folder = _once("prometheus-bookworm", lambda made: _download("prometheus", "bookworm", made))
    return folder / "usr/bin"


def _download(package: str, suite: str, folder: Path) -> None:
    fetch = f"cd '{folder}' && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download {package}"
    # chrootless needs neither root nor namespaces. The check that is skipped warns root of
    # packages that would be installed into the host; none is installed anywhere.
    _run(
        "mmdebstrap",
        "--quiet",
        "--mode=chrootless",
        "--skip=check/chrootless",
        "--variant=custom",
        "--format=null",
        f"--customize-hook={fetch}",
        suite,
        "-",
    )
    (found,) = folder.glob(f"{package}_*.deb")
    _run("dpkg-deb", "--extract", str(found), str(folder))


def _make_venv(folder: Path) -> None:
    venv.create(folder, with_pip=True, symlinks=True)
    _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *REQUIREMENTS)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise RuntimeError(message)


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """Give the cached folder ``name``, made by ``make`` if no process did so to the end yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "imds-emulator/tests")
    cache.mkdir(parents=True, exist_ok=True)
    folder, complete = cache / name, cache / f"{name}.complete"
    with _locked(cache / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
