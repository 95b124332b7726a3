"""Fetches one file by HTTP: resumed where it broke off, never taken before its checksum fits."""

from __future__ import annotations

import errno
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from emulator.errors import ImageError

Algorithm = Literal["sha256", "sha512"]
# Called with the bytes that are there and the bytes in all (0 when the server does not say).
Progress = Callable[[int, int], None]

CHUNK = 1 << 18
TIMEOUT = 60.0
ATTEMPTS = 3
PARTIAL = 206
UNSATISFIABLE = 416
# Of the errors that a fetch can meet, those that are the disk's and not the network's.
_LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO}
SUMS_LIMIT = 1 << 20
HEX_DIGITS = {"sha256": 64, "sha512": 128}


class Part(msgspec.Struct):
    """What a partial file is part of: a resumed download must be of the same thing."""

    url: str
    validator: str = ""


def check_url(url: str) -> None:
    """Raise ImageError unless ``url`` is one that can be fetched."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImageError(f"{url!r} is not an http or https URL")


def check_digest(digest: str, algorithm: Algorithm) -> str:
    """Give ``digest`` in lower case; ImageError if it cannot be one of ``algorithm``."""
    text = digest.strip().lower()
    if len(text) != HEX_DIGITS[algorithm] or set(text) - set("0123456789abcdef"):
        raise ImageError(f"{digest!r} is not a {algorithm}: {HEX_DIGITS[algorithm]} hex digits")
    return text


def published_digest(sums: str, name: str, algorithm: Algorithm) -> str:
    """Give the digest of file ``name`` from the publisher's list at ``sums``."""
    check_url(sums)
    try:
        with urllib.request.urlopen(sums, timeout=TIMEOUT) as answer:  # noqa: S310 (checked)
            text = answer.read(SUMS_LIMIT).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise ImageError(f"{sums}: {error}") from error
    for line in text.splitlines():
        digest, _, file = line.partition(" ")
        if file.lstrip(" *") == name:
            return check_digest(digest, algorithm)
    raise ImageError(f"{sums} does not list {name}")


def fetch(url: str, part: Path, digest: str, algorithm: Algorithm, progress: Progress) -> None:
    """Bring ``url`` into the file ``part`` and hold it against ``digest``.

    A broken connection is resumed a few times; if it stays broken ``part`` is left for the next
    call. Content of another digest is removed. Raises ImageError for either.
    """
    check_url(url)
    wanted = check_digest(digest, algorithm)
    broken = ""
    for _ in range(ATTEMPTS):
        try:
            broken = _continue(url, part, progress)
        except (OSError, http.client.HTTPException) as error:
            broken = _reason(url, part, error)
        if not broken:
            break
    else:
        raise ImageError(f"{url}: {broken}; what has arrived is kept, run it again to resume")
    found = _digest(part, algorithm)
    if found != wanted:
        discard(part)
        raise ImageError(f"{url}: {algorithm} is {found}, wanted {wanted}; the file was removed")
    _note(part).unlink(missing_ok=True)


def discard(part: Path) -> None:
    """Remove a partial file and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _continue(url: str, part: Path, progress: Progress) -> str:
    """Fetch what is missing; give what broke, or nothing when the file is complete."""
    have, validator = _resumable(url, part)
    request = urllib.request.Request(url, headers=_range(have, validator))  # noqa: S310 (checked)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 (checked)
    except urllib.error.HTTPError as error:
        if error.code != UNSATISFIABLE:
            raise
        # The part is as long as the whole, or longer: its digest decides.
        return ""
    with answer:
        start = have if answer.status == PARTIAL else 0
        _remember(part, url, answer.headers)
        length = int(answer.headers.get("Content-Length") or 0)
        total = start + length if length else 0
        with part.open("r+b" if start else "wb") as sink:
            sink.seek(start)
            done = _copy(answer, sink, start, total, progress)
    if total and done < total:
        return f"ended after {done} of {total} bytes"
    return ""


def _copy(
    answer: http.client.HTTPResponse, sink: BinaryIO, start: int, total: int, progress: Progress
) -> int:
    done = start
    progress(done, total)
    while chunk := answer.read(CHUNK):
        sink.write(chunk)
        done += len(chunk)
        progress(done, total)
    return done


def _reason(url: str, part: Path, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        raise ImageError(f"{url}: the server answers {error.code} {error.reason}") from error
    if isinstance(error, OSError) and error.errno in _LOCAL:
        raise ImageError(f"{part}: {error.strerror}") from error
    return str(error) or type(error).__name__


def _resumable(url: str, part: Path) -> tuple[int, str]:
    try:
        note = msgspec.json.decode(_note(part).read_bytes(), type=Part)
        size = part.stat().st_size
    except (OSError, msgspec.DecodeError):
        return 0, ""
    # Without a validator nobody can say that the rest belongs to this beginning.
    return (size, note.validator) if note.url == url and note.validator else (0, "")


def _range(have: int, validator: str) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    return headers


def _remember(part: Path, url: str, headers: http.client.HTTPMessage) -> None:
    tag = headers.get("ETag", "")
    strong = tag if tag and not tag.startswith("W/") else ""
    note = Part(url, strong or headers.get("Last-Modified", ""))
    _note(part).write_bytes(msgspec.json.encode(note))


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _digest(path: Path, algorithm: Algorithm) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
