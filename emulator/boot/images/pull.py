"""Brings an image from its publisher into the cache: by a known name, or by URL and checksum."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import msgspec

from emulator.boot import disk
from emulator.boot.images.cache import Cache, Image
from emulator.boot.images.download import (
    Algorithm,
    Progress,
    check_digest,
    check_url,
    discard,
    fetch,
    published_digest,
)
from emulator.boot.images.official import official
from emulator.errors import ImageError


class Wanted(msgspec.Struct, frozen=True):
    """One file to fetch: under which name it will be known, from where, with which digest."""

    name: str
    url: str
    digest: str
    algorithm: Algorithm


def resolve(name_or_url: str, sha256: str = "") -> Wanted:
    """Tell what to fetch; asks the publisher's list of checksums when none is given.

    Raises ImageError for an unknown name and for a URL without checksum: what is fetched is run.
    """
    known = official().get(name_or_url)
    if known is not None:
        file = PurePosixPath(urlsplit(known.url).path).name
        if sha256:
            return Wanted(name_or_url, known.url, check_digest(sha256, "sha256"), "sha256")
        digest = published_digest(known.sums, file, known.algorithm)
        return Wanted(name_or_url, known.url, digest, known.algorithm)
    if "://" not in name_or_url:
        names = ", ".join(sorted(official()))
        raise ImageError(f"no image is called {name_or_url!r}; known: {names}; or give a URL")
    check_url(name_or_url)
    if not sha256:
        raise ImageError("give --sha256 with a URL: what is fetched will be run")
    stem = PurePosixPath(urlsplit(name_or_url).path).stem
    if not stem:
        raise ImageError(f"{name_or_url!r} names no file")
    return Wanted(stem, name_or_url, check_digest(sha256, "sha256"), "sha256")


def pull(wanted: Wanted, cache: Cache, progress: Progress) -> Image:
    """Give the image of ``wanted``, fetching it if the cache has none of this digest."""
    entry = f"{wanted.name}-{wanted.digest[:12]}"
    with cache.lock(entry):
        found = cache.find(entry)
        if found:
            return found
        part = cache.folder / f"{entry}.part"
        fetch(wanted.url, part, wanted.digest, wanted.algorithm, progress)
        try:
            kind = _acceptable(part)
        except ImageError:
            discard(part)
            raise
        with cache.making(entry) as work:
            name = f"disk.{kind}"
            part.rename(work / name)
            image = Image(name=wanted.name, disk=name, origin=wanted.url)
            return cache.keep(entry, work, image)


def _acceptable(part: Path) -> disk.Kind:
    found = disk.inspect(part)
    if found.refers:
        # Such an image could name any file of this machine and read it into the guest.
        raise ImageError("the image refers to another file, which a fetched image may not")
    return found.kind
