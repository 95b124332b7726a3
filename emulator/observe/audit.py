"""One line of JSON for each access, in the words of the Elastic Common Schema (ECS 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from time import gmtime, strftime
from typing import Protocol

import msgspec

from emulator.core.refusal import Refusal
from emulator.observe.metrics import issued, was_read
from emulator.observe.observation import Observation

ECS_VERSION = "8.17.0"
DATASET = "imds.audit"

_CATEGORY = ("web",)
_ISSUES = {"session": "session-token-issue", "ec2-credentials": "credentials-read"}
_ALLOWED = ("access", "allowed")
_DENIED = ("access", "denied")
_REFUSED_FROM = 400
_KEPT = 512
_FAILED_FROM = 500


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line; ``duration`` is nanoseconds, ``time`` RFC 3339. What is empty is left out.

    It is flat: names are ECS's own, with their dots. Those below ``imds.`` are ours.
    """

    time: str = msgspec.field(name="@timestamp", default="")
    version: str = msgspec.field(name="ecs.version", default="")
    action: str = msgspec.field(name="event.action", default="")
    outcome: str = msgspec.field(name="event.outcome", default="")
    reason: str = msgspec.field(name="event.reason", default="")
    types: tuple[str, ...] = msgspec.field(name="event.type", default=())
    category: tuple[str, ...] = msgspec.field(name="event.category", default=())
    kind: str = msgspec.field(name="event.kind", default="")
    dataset: str = msgspec.field(name="event.dataset", default="")
    duration: int = msgspec.field(name="event.duration", default=0)
    vm: str = msgspec.field(name="cloud.instance.name", default="")
    uuid: str = msgspec.field(name="cloud.instance.id", default="")
    namespace: str = msgspec.field(name="orchestrator.namespace", default="")
    method: str = msgspec.field(name="http.request.method", default="")
    path: str = msgspec.field(name="url.path", default="")
    status: int = msgspec.field(name="http.response.status_code", default=0)
    bytes: int = msgspec.field(name="http.response.body.bytes", default=0)
    user_agent: str = msgspec.field(name="user_agent.original", default="")
    peer: str = msgspec.field(name="source.address", default="")
    dialect: str = msgspec.field(name="imds.dialect", default="")
    area: str = msgspec.field(name="imds.area", default="")
    document: str = msgspec.field(name="imds.document", default="")
    session: str = msgspec.field(name="imds.session", default="")
    fingerprint: str = msgspec.field(name="imds.session_fingerprint", default="")
    lifetime: int = msgspec.field(name="imds.session_lifetime", default=0)
    waited: bool = msgspec.field(name="imds.waited", default=False)
    spared: str = msgspec.field(name="imds.spared", default="")

    @property
    def seconds(self) -> float:
        """When it was, since the epoch."""
        return datetime.fromisoformat(self.time).timestamp() if self.time else 0.0


class Sink(Protocol):
    """Where lines go; it never lets the caller wait."""

    def put(self, lines: list[bytes]) -> None:
        """Take ``lines``, each without its end, to be written in their order."""


class Audit:
    """Says of each observation what an auditor asks: who, what, and how it was decided."""

    def __init__(self, sink: Sink) -> None:
        """Write to ``sink``."""
        self._sink = sink
        self._encode = msgspec.json.Encoder().encode
        # A guest asks the same in the same words: what does not change is encoded once.
        self._rests: dict[object, bytes] = {}

    def __call__(self, seen: Iterable[Observation]) -> None:
        """Write a line for each."""
        self._sink.put([self._line(one) for one in seen])

    def _line(self, seen: Observation) -> bytes:
        key = (
            *(seen.vm, seen.namespace, seen.uuid, seen.area, seen.method, seen.path, seen.status),
            *(seen.reason, seen.bytes, seen.user_agent, seen.peer, seen.session, seen.fingerprint),
            *(seen.lifetime, seen.waited, seen.document, seen.spared),
        )
        rest = self._rests.get(key)
        if rest is None:
            if len(self._rests) >= _KEPT:
                self._rests.clear()
            rest = self._rests[key] = self._encode(line(seen))[1:]
        whole = int(seen.time)
        moment = (_second(whole), (seen.time - whole) * 1000, seen.duration_us * 1000, rest)
        return b'{"@timestamp":"%b.%03dZ","event.duration":%d,%b' % moment

    def event(self, time: float, action: str, message: str, own: Mapping[str, object]) -> None:
        """Write of a change that was no request; ``own`` fields get names below ``imds.``."""
        self._sink.put([change(time, action, message, own)])


def change(time: float, action: str, message: str, own: Mapping[str, object]) -> bytes:
    """Give the line of a change that was no request; ``own`` fields get names below ``imds.``."""
    told = {
        "ecs.version": ECS_VERSION,
        "@timestamp": timestamp(time),
        "event.action": action,
        "event.type": ["change"],
        "event.category": ["configuration"],
        "event.kind": "event",
        "event.dataset": DATASET,
        "message": message,
        **{f"imds.{name}": value for name, value in own.items()},
    }
    return msgspec.json.encode(told)


def lost(wall: Callable[[], float], count: int) -> bytes:
    """Give the line that says that ``count`` lines before it are missing."""
    message = f"{count} lines could not be written"
    return change(wall(), "audit-lines-lost", message, {"lost": count})


def line(seen: Observation) -> Line:
    """Give the line of ``seen`` without its time and duration."""
    status = seen.status
    refused = status >= _REFUSED_FROM
    return Line(
        version=ECS_VERSION,
        action=_action(seen),
        # Keys of a role that cannot be had are said so in a 200.
        outcome="failure" if refused or seen.reason == Refusal.UNAVAILABLE else "success",
        reason=seen.reason,
        types=_DENIED if refused and status < _FAILED_FROM else _ALLOWED,
        category=_CATEGORY,
        kind="event",
        dataset=DATASET,
        vm=seen.vm,
        uuid=seen.uuid,
        namespace=seen.namespace,
        method=seen.method,
        path=seen.path,
        status=status,
        bytes=seen.bytes,
        user_agent=seen.user_agent,
        peer=seen.peer,
        dialect=seen.dialect,
        area=seen.area,
        document=seen.document,
        session=seen.session,
        fingerprint=seen.fingerprint,
        lifetime=seen.lifetime,
        waited=seen.waited,
        spared=seen.spared,
    )


def read(text: bytes) -> Line | None:
    """Read a line of an access; None for what is none, such as a change or half a line."""
    try:
        found = msgspec.json.decode(text, type=Line)
        known = found.method and found.seconds
    except ValueError:  # not JSON, not such a line, or no time
        return None
    return found if known else None


def timestamp(seconds: float) -> str:
    """Write a time since the epoch as RFC 3339 in UTC, to the millisecond."""
    whole = int(seconds)
    return f"{_second(whole).decode()}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(maxsize=8)
def _second(whole: int) -> bytes:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole)).encode()


def _action(seen: Observation) -> str:
    kind = issued(seen)
    if kind:
        return _ISSUES.get(kind, "token-read")
    return "metadata-read" if was_read(seen.method) else "metadata-write"
