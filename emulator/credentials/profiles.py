"""Profiles of shared-credentials files, which somebody else rotates.

Some writers replace the file, others (``aws configure``, a shell's ``>``) change it in place, and
no lock says when they are done. So a change counts once the file was left alone for a while;
until then the profile is what it was before.
"""

from __future__ import annotations

import asyncio
import os
import stat

import msgspec

from emulator.core.credentials import RoleCredentials
from emulator.credentials.kept import Kept
from emulator.credentials.moments import UNSAID, moment, span
from emulator.errors import CredentialsUnavailable
from emulator.ports import Ports

LIMIT = 1 << 20
"""Bytes of a file with thousands of profiles."""

QUIET = 0.25
"""Seconds without a change after which a writer counts as done."""

# How often a file is looked at, and the seconds between: 0.4 s in all, less than the most
# impatient client of contract 0.1-7 waits. A missing one is looked for only a few times: it is
# missing for a moment while Kubernetes swaps a mount.
_LOOKS = 40
_MISSING_LOOKS = 3
_PAUSE = 0.01

_EXPIRY = ("aws_expiration", "expiration", "x_security_token_expires")

Mark = tuple[int, ...]


class _Profile(msgspec.Struct, frozen=True):
    """Keys as they stand in a file, or what is ``wrong`` with it."""

    wrong: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    token: str = ""
    changed: float = 0.0
    expires: float | None = None

    def __repr__(self) -> str:
        return "_Profile(...)"


class _Seen:
    """One profile: what was read in the file's state ``mark``, and what counted before it."""

    def __init__(self) -> None:
        self.mark: Mark = ()
        self.since = 0.0
        self.latest: _Profile | None = None
        self.counts: _Profile | None = None


class Profiles:
    """Reads profiles, anew whenever their file has changed."""

    def __init__(self, ports: Ports, most: int) -> None:
        """Tell time and read by ``ports``; remember ``most`` profiles."""
        self._ports = ports
        self._seen: Kept[tuple[str, str], _Seen] = Kept(most)

    async def get(self, path: str, name: str) -> RoleCredentials:
        """Give the keys of profile ``name`` in ``path``; raise ``CredentialsUnavailable``."""
        seen = self._seen.get((path, name), _Seen)
        for number in range(_LOOKS):
            if number:
                await asyncio.sleep(_PAUSE)
            try:
                profile = self._look(seen, path, name)
            except FileNotFoundError as error:
                if number < _MISSING_LOOKS:
                    continue
                raise _unavailable(f"{path}: {error.strerror}") from None
            except OSError as error:
                raise _unavailable(f"{path}: {error.strerror}") from None
            if profile is not None:
                return self._credentials(profile, path)
        raise _unavailable(f"{path}: still being written")

    def _look(self, seen: _Seen, path: str, name: str) -> _Profile | None:
        """Give what counts, None if that is not known yet; raise ``OSError``.

        Raises ``CredentialsUnavailable`` for what is not read at all.
        """
        status = os.stat(path)  # noqa: PTH116 - as the files of a description are looked at
        wrong = _unfit(status)
        if wrong:
            raise _unavailable(f"{path}: {wrong}")
        mark = _mark(status)
        now = self._ports.monotonic()
        if seen.mark != mark:
            seen.mark, seen.since = mark, now
            seen.latest = self._read(path, name, status)
        if seen.latest is None:
            seen.mark = ()  # changed while it was read
        # Another machine's clock may have stamped the file: then what was seen here counts.
        elif max(self._ports.wall() - status.st_ctime, now - seen.since) >= QUIET:
            seen.counts = seen.latest
        return seen.counts

    def _read(self, path: str, name: str, before: os.stat_result) -> _Profile | None:
        """Give what the file holds, None if it changed while it was read."""
        data = self._ports.read(path)
        after = os.stat(path)  # noqa: PTH116 - as above
        if _mark(after) != _mark(before) or len(data) != before.st_size:
            return None
        return _parse(data, name, after.st_mtime)

    def _credentials(self, profile: _Profile, path: str) -> RoleCredentials:
        if profile.wrong:
            raise _unavailable(f"{path}: {profile.wrong}")
        now = self._ports.wall()
        updated, expires = profile.changed, profile.expires
        if expires is None:
            updated, expires = span(UNSAID, now)
        elif expires <= now:
            raise _unavailable(f"{path}: its keys have expired", expires)
        return RoleCredentials(
            access_key_id=profile.access_key_id,
            secret_access_key=profile.secret_access_key,
            token=profile.token,
            updated=min(updated, now),
            expires=expires,
        )


def _unfit(status: os.stat_result) -> str:
    """Say why a file is not read at all, whatever it holds."""
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return f"larger than {LIMIT} bytes" if status.st_size > LIMIT else ""


def _mark(status: os.stat_result) -> Mark:
    """Tell one state of a file from another; unlike mtime, ctime cannot be set back."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _parse(data: bytes, name: str, changed: float) -> _Profile:
    # Most servers read no profile.
    import configparser

    # No section is every other's default, and of a profile that is there twice the last wins.
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(data.decode())
    except (UnicodeDecodeError, configparser.Error):
        # Not as the parser says it: its message repeats the line.
        return _Profile(wrong="not in the format of a shared-credentials file")
    if not parser.has_section(name):
        return _Profile(wrong=f"no profile {name}")
    found = dict(parser.items(name))
    key, secret = found.get("aws_access_key_id", ""), found.get("aws_secret_access_key", "")
    if not (key and secret):
        return _Profile(wrong=f"no keys in profile {name}")
    ends = (moment(found[field]) for field in _EXPIRY if field in found)
    return _Profile(
        access_key_id=key,
        secret_access_key=secret,
        token=found.get("aws_session_token", ""),
        changed=changed,
        expires=next((end for end in ends if end is not None), None),
    )


def _unavailable(detail: str, ended: float | None = None) -> CredentialsUnavailable:
    return CredentialsUnavailable("the role's keys cannot be read", detail=detail, ended=ended)
