"""What guests ask, by every dialect's rules, right and wrong, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.tokens.test_files import make_token

GUESTS = 20
SECONDS = 10.0
LARGE = 256 << 10

# Requests of one client process that may be under way at once.
_MOST = 64

# Seconds after which a connection is not used again; the server closes it after 60.
_IDLE = 30.0

# Of requests, so many are on a new connection.
_ANEW = 0.3

VM = """\
name: vm-{number}
namespace: shop
peer: {{addresses: [127.0.1.{number}]}}
dialects:
  ec2: {{tokens: optional}}
  gce: {{guest_attributes: enabled}}
  azure: {{}}
  kubevirt: {{}}
  openstack: {{}}
  nocloud: {{}}
tokens: [{{file: {folder}/volume/token}}]
tags: {{round: "{round}"}}
interfaces: [{{mac: "52:54:00:00:01:{number:02x}", addresses: [dhcp4]}}]
user_data: {{file: {folder}/large}}
ec2: {{credentials: {{role: web}}}}
"""


class Kind(msgspec.Struct, frozen=True):
    """A request, how often it comes, and what may be answered."""

    weight: int
    path: str
    headers: dict[str, str] = {}
    method: str = "GET"
    body: bytes = b""
    allowed: frozenset[int] = frozenset({200})
    contains: bytes = b""


_METADATA = {"Metadata": "true"}
_GOOGLE = {"Metadata-Flavor": "Google"}
_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "600"}
_SESSION = "X-aws-ec2-metadata-token"
_AWS = "/latest/meta-data"
_GCE = "/computeMetadata/v1"
_IDENTITY = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://a.example"
_ATTRIBUTE = f"{_GCE}/instance/guest-attributes/soak/state"


def _wrong(path: str, status: int, **how: Any) -> Kind:
    return Kind(1, path, allowed=frozenset({status}), **how)


KINDS = (
    Kind(6, "/latest/api/token", _TTL, "PUT"),
    Kind(10, f"{_AWS}/instance-id", {_SESSION: ""}, contains=b"i-"),
    Kind(4, f"{_AWS}/", {_SESSION: ""}, contains=b"instance-id"),
    Kind(4, f"{_AWS}/iam/security-credentials/web", {_SESSION: ""}, contains=b"Success"),
    Kind(2, "/latest/dynamic/instance-identity/document", {_SESSION: ""}),
    Kind(6, "/openstack/latest/meta_data.json", contains=b"uuid"),
    Kind(3, "/openstack/latest/network_data.json", contains=b"links"),
    Kind(6, "/v1/instance", _METADATA),
    Kind(6, "/v1/token", _METADATA, contains=b"ey"),
    Kind(4, f"{_GCE}/?recursive=true", _GOOGLE, contains=b"instance"),
    Kind(4, f"{_GCE}/instance/id", _GOOGLE),
    Kind(3, f"{_GCE}/instance/service-accounts/default/token", _GOOGLE, contains=b"access_token"),
    Kind(4, "/metadata/instance?api-version=2021-02-01", _METADATA, contains=b"compute"),
    Kind(2, _IDENTITY, _METADATA, contains=b"access_token"),
    Kind(2, "/metadata/scheduledevents?api-version=2020-07-01", _METADATA),
    Kind(4, "/nocloud/meta-data", contains=b"instance-id"),
    Kind(2, "/latest/user-data", {_SESSION: ""}, contains=b"x" * 100),
    _wrong(f"{_AWS}/no-such-thing", 404),
    _wrong(f"{_AWS}/instance-id", 401, headers={_SESSION: "A" * 64}),
    _wrong("/v1/instance", 400),
    _wrong(f"{_GCE}/instance/id", 403),
    _wrong("/latest/api/token", 403, method="PUT", headers={**_TTL, "X-Forwarded-For": "1.2.3.4"}),
    _wrong(f"{_AWS}/instance-id", 403, headers={"Host": "page.example"}),
    _wrong("/../../etc/passwd", 404),
    _wrong(f"{_AWS}/%00", 404),
)


class Counted:
    """What became of requests since this was last taken."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.errors: Counter[str] = Counter()

    def taken(self) -> dict[str, Any]:
        """Give it, and begin anew."""
        found = {"times": self.times, "errors": dict(self.errors)}
        self.times, self.errors = [], Counter()
        return found


class Broken(Exception):
    """An answer that is not one."""


class Link:
    """A connection of one guest, made when it is needed."""

    def __init__(self, port: int, local: str) -> None:
        self._port = port
        self._local = local
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(self, kind: Kind, session: str = "", *, anew: bool = False) -> tuple[int, bytes]:
        """Ask; give status and body."""
        now = time.monotonic()
        # As clients do, lest the server has closed it meanwhile.
        if anew or now - self._used > _IDLE:
            self.close()
        self._used = now
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=(self._local, 0), limit=1 << 20
            )
        reader, writer = self._streams
        headers = {"Host": "metadata", **kind.headers}
        if headers.get(_SESSION) == "":
            headers[_SESSION] = session
        if kind.body:
            headers["Content-Length"] = str(len(kind.body))
        lines = [f"{kind.method} {kind.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + kind.body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if "\r\ncontent-length: " not in head:
            raise Broken(head)
        length = int(head.partition("\r\ncontent-length: ")[2].split("\r\n", 1)[0])
        body = await reader.readexactly(length)
        if "\r\nconnection: close" in head or kind.method == "PUT":
            self.close()
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Guest:
    """One machine's programs."""

    def __init__(self, port: int, number: int, counted: Counted, seed: int) -> None:
        self._port = port
        self._local = f"127.0.1.{number}"
        self._counted = counted
        self._chance = Random(f"{seed}:{number}")  # noqa: S311 - chance, not secrecy
        self._idle: list[Link] = []
        self._session = ""

    async def one(self) -> None:
        """Ask for something."""
        weights = [kind.weight for kind in KINDS]
        (kind,) = self._chance.choices(KINDS, weights)
        if kind.headers.get(_SESSION) == "" and not self._session:
            kind = KINDS[0]
        link = self._idle.pop() if self._idle else Link(self._port, self._local)
        anew = self._chance.random() < _ANEW
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(SECONDS):
                status, body = await link.ask(kind, self._session, anew=anew)
        except (OSError, EOFError, Broken, TimeoutError) as error:
            link.close()
            self._counted.errors[f"{kind.method} {kind.path}: {type(error).__name__}"] += 1
            return
        self._counted.times.append(time.perf_counter() - begun)
        if kind is KINDS[0] and status == 200:
            self._session = body.decode()
        if status not in kind.allowed or kind.contains not in body:
            self._counted.errors[f"{kind.method} {kind.path}: {status} {body[:40]!r}"] += 1
        self._idle.append(link)

    async def wait(self) -> None:
        """Hang until something changes, again and again."""
        link = Link(self._port, self._local)
        waits = Kind(
            weight=0,
            path=f"{_ATTRIBUTE}?wait_for_change=true&timeout_sec=5",
            headers=_GOOGLE,
            allowed=frozenset({200, 404}),
        )
        while True:
            try:
                async with asyncio.timeout(SECONDS):
                    status, _ = await link.ask(waits)
            except (OSError, EOFError, Broken, TimeoutError) as error:
                link.close()
                self._counted.errors[f"a wait: {type(error).__name__}"] += 1
                await asyncio.sleep(1)
            else:
                if status not in waits.allowed:
                    self._counted.errors[f"a wait: {status}"] += 1

    async def write(self) -> None:
        """Change what others wait for, every other second."""
        link = Link(self._port, self._local)
        number = 0
        while True:
            await asyncio.sleep(2)
            number += 1
            said = Kind(0, _ATTRIBUTE, _GOOGLE, "PUT", str(number).encode())
            with suppress(OSError, EOFError):
                status, _ = await link.ask(said)
                if status not in said.allowed:
                    self._counted.errors[f"a write: {status}"] += 1


def lay_out(folder: Path) -> Path:
    """Write what is served below ``folder``; give where descriptions are."""
    (folder / "large").write_bytes(b"x" * LARGE)
    (folder / "volume").mkdir()
    rotate(folder, 1)
    (folder / "vms").mkdir()
    for number in range(1, GUESTS + 1):
        describe(folder, number, 0)
    return folder / "vms"


def describe(folder: Path, number: int, round_: int) -> None:
    """Change one description, as its owner does."""
    fresh = folder / "fresh"
    fresh.write_text(VM.format(number=number, folder=folder, round=round_))
    fresh.rename(folder / f"vms/{number}.yaml")


def rotate(folder: Path, number: int) -> None:
    """Put another ServiceAccount token into the place of the last."""
    fresh = folder / "volume/fresh"
    fresh.write_text(make_token(number, 1000))
    fresh.rename(folder / "volume/token")


Report = Callable[[dict[str, Any]], None]


async def traffic(port: int, rate: float, seed: int, report: Report) -> None:
    """Ask ``rate`` times a second without end, or as often as it can if it is 0.

    Each second ``report`` is given what became of that.
    """
    counted = Counted()
    guests = [Guest(port, number, counted, seed) for number in range(1, GUESTS + 1)]
    works: list[Awaitable[None]] = [guest.wait() for guest in guests for _ in range(2)]
    works += [guest.write() for guest in guests]
    if rate:
        works.append(_paced(guests, rate))
    else:
        works += [_greedy(guest) for guest in guests]
    works.append(_reported(counted, report))
    await asyncio.gather(*works)


async def _greedy(guest: Guest) -> None:
    while True:
        await guest.one()


async def _paced(guests: list[Guest], rate: float) -> None:
    """Begin at the pace, however long answers take, but for what would be too much at once."""
    due = time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    number = 0
    while True:
        now = time.monotonic()
        # What this process had no time for is not made up for.
        due = max(due, now - 1)
        while due <= now and len(under_way) < _MOST:
            number += 1
            task = asyncio.get_running_loop().create_task(guests[number % GUESTS].one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += 1 / rate
        await asyncio.sleep(max(0.002, due - time.monotonic()))


async def _reported(counted: Counted, report: Report) -> None:
    while True:
        await asyncio.sleep(1)
        report(counted.taken())
