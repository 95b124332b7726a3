"""What is tested: the image, built from this checkout on a base that is like Debian's slim one.

Both stay in the user's cache until they have not been used for a day. The image's name there is
a hash of all that goes into it and of the base's packages; the base's is its week.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from emulator.boot.images.build import privilege
from emulator.boot.images.cache import Cache, cache_folder
from tests.image.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("bookworm", "trixie")
"""Debian's releases with Python 3.11 and 3.13."""

BASE = "base.tar"
ARCHIVE = "image.tar"
TAG = "localhost/imds-emulator"

# A change here, or of the names of files, gives other entries of the cache.
_VERSION = "1"
_STALE_AFTER = 24 * 3600.0  # seconds without use
# As Debian makes its slim image: of documentation, only the licences.
_SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
# Of pip's configuration, what says where packages come from; paths mean nothing in a container.
_INDEX = ("extra-index-url", "index-url", "proxy", "timeout", "trusted-host")
_AUTHORITIES = "ca-certificates.crt"


def base(suite: str) -> Path:
    """Give the file system of the smallest Debian ``suite``, as a tar file."""
    entry = f"base-{suite}-{time.strftime('%G-%V')}-{_digest((_VERSION, *_SLIM))}"

    def make(work: Path) -> None:
        options = [f"--dpkgopt={option}" for option in _SLIM]
        mode = f"--mode={privilege().mode}"
        command = ["mmdebstrap", mode, "--variant=minbase", *options, suite, str(work / BASE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]

    return _kept(entry, make) / BASE


def image(suite: str) -> Path:
    """Give the image built on ``suite``, as an OCI archive."""
    tar = base(suite)
    entry = f"image-{suite}-{_digest((_VERSION, _packages(tar), *_context()))}"

    def make(work: Path) -> None:
        with Engine() as engine:
            build(engine, engine.take(tar, "localhost/base"), TAG)
            engine.buildah("push", TAG, f"oci-archive:{work / ARCHIVE}:{TAG}")

    return _kept(entry, make) / ARCHIVE


def build(engine: Engine, base: str, tag: str) -> None:
    """Build the image on ``base`` by the Dockerfile, with pip as it is set up here."""
    secrets = engine.folder / "secrets"
    secrets.mkdir(mode=0o700)
    options = [f"--secret=id={file.name},src={file}" for file in _secrets(secrets)]
    argument = f"--build-arg=BASE={base}"
    engine.buildah("bud", "--isolation=chroot", argument, *options, f"--tag={tag}", ROOT)


def _secrets(folder: Path) -> Iterator[Path]:
    """Write what a build must know of this machine to reach an index; perhaps nothing."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = {
        name.rpartition(".")[2]: str(ast.literal_eval(value))
        for name, _, value in (line.partition("=") for line in listed.splitlines())
    }
    lines = [
        f"{name} = {value}"
        for name, value in settings.items()
        if name in _INDEX and "file:" not in value
    ]
    authorities = settings.get("cert", os.environ.get("REQUESTS_CA_BUNDLE", ""))
    if authorities:
        lines.append(f"cert = /run/secrets/{_AUTHORITIES}")
        yield Path(shutil.copy(authorities, folder / _AUTHORITIES))
    configuration = folder / "pip.conf"
    configuration.write_text("\n".join(("[global]", *lines, "")))
    yield configuration


def _context() -> Iterator[str]:
    """Give the name and content of each file that the build is given."""
    listing = ROOT / ".dockerignore"
    let_in = [ROOT / line[1:] for line in listing.read_text().splitlines() if line[:1] == "!"]
    for top in (listing, ROOT / "Dockerfile", *let_in):
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(ROOT))
                yield hashlib.sha256(file.read_bytes()).hexdigest()


def _packages(tar: Path) -> str:
    with tarfile.open(tar) as system:
        status = system.extractfile("./var/lib/dpkg/status")
        assert status is not None
        return hashlib.sha256(status.read()).hexdigest()


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _kept(entry: str, make: Callable[[Path], None]) -> Path:
    """Give the cache's folder ``entry``, which ``make`` fills if there is none yet."""
    cache = Cache(cache_folder().with_name("container"))
    home = cache.folder / entry
    with cache.lock(entry):
        if not home.is_dir():
            with cache.making(entry) as work:
                make(work)
                work.rename(home)
        os.utime(home)
    for other in cache.folder.iterdir():
        # Two sweep at once, perhaps. A lock must stay: somebody may hold it.
        with contextlib.suppress(FileNotFoundError):
            if other.is_dir() and time.time() - other.stat().st_mtime > _STALE_AFTER:
                shutil.rmtree(other, ignore_errors=True)
    return home
