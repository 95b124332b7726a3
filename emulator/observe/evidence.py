"""Where findings about session tokens come from: audit logs, boots' reports, running servers."""

from __future__ import annotations

import gzip
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from emulator.errors import StartError
from emulator.observe.audit import Line, read, timestamp
from emulator.observe.callers import Finding, find

PAGE = "/imdsv2"

_CONFIGURATION = b'"event.category":["configuration"]'
_LONGEST_REPORT = 64 << 20
_LONGEST_PAGE = 256 << 20
_SECONDS = 30.0


class _Asked(msgspec.Struct):
    path: str
    method: str = ""
    status: int = 0
    reason: str = ""
    user_agent: str = ""
    session: str = ""


class _Booted(msgspec.Struct):
    """What of ``imds-emulator boot --json`` tells."""

    vm: str
    requests: list[_Asked]


def places(given: str) -> list[str]:
    """Give what there is at a place: the files of a folder, or the place itself."""
    if is_server(given) or not Path(given).is_dir():
        return [given]
    return [str(path) for path in sorted(Path(given).iterdir()) if path.is_file()]


def is_server(place: str) -> bool:
    """Say whether ``place`` is a server's operator: a URL, or ``unix:PATH``."""
    return place.startswith(("http://", "https://", "unix:"))


def finding(place: str, since: float) -> Finding:
    """Give what is found at ``place``; raise ``OSError`` or ``StartError``."""
    if is_server(place):
        return _served(place, since)
    path = Path(place)
    booted = _booted(path)
    if booted is None:
        return find(_lines(path), since)
    lines = [
        Line(
            time=timestamp(path.stat().st_mtime),
            vm=booted.vm,
            path=asked.path,
            method=asked.method,
            status=asked.status,
            reason=asked.reason,
            user_agent=asked.user_agent,
            session=asked.session,
        )
        for asked in booted.requests
    ]
    return find(lines, since)


def _booted(path: Path) -> _Booted | None:
    if path.stat().st_size > _LONGEST_REPORT or path.suffix == ".gz":
        return None
    with path.open("rb") as file:
        if file.read(1) != b"{" or read(b"{" + file.readline()) is not None:
            return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Booted)
    except msgspec.DecodeError:
        return None


def _lines(path: Path) -> Iterator[Line | None]:
    """Give the accesses in a log, None for what is no line of one."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            for text in lines:
                line = read(text)
                if line is not None or _CONFIGURATION not in text:
                    yield line
        except (EOFError, gzip.BadGzipFile):
            yield None


def _served(place: str, since: float) -> Finding:
    connection = _connection(place)
    try:
        connection.request("GET", PAGE, headers={"Host": "localhost"} if _is_unix(place) else {})
        answer = connection.getresponse()
        body = answer.read(_LONGEST_PAGE)
        if answer.status != http.client.OK:
            raise StartError(f"{place}{PAGE}: {answer.status} {answer.reason}")
        found = msgspec.json.decode(body, type=Finding)
    except (http.client.HTTPException, msgspec.DecodeError) as error:
        raise StartError(f"{place}: {error!r}") from None
    finally:
        connection.close()
    from_then = timestamp(since)
    found.callers = [caller for caller in found.callers if caller.last >= from_then]
    found.refused = [caller for caller in found.refused if caller.last >= from_then]
    return found


def _connection(place: str) -> http.client.HTTPConnection:
    if _is_unix(place):
        return _Unix(place.removeprefix("unix:"))
    url = urlsplit(place)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.netloc, timeout=_SECONDS)


def _is_unix(place: str) -> bool:
    return place.startswith("unix:")


class _Unix(http.client.HTTPConnection):
    """A connection to the socket at a path."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect (called by ``http.client``)."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)
