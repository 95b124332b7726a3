"""Scheduled events: what will happen to the machine, and its leave to begin (contract 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

import msgspec

from emulator.core.message import Done, Reply, Request, Services
from emulator.core.pages import tag
from emulator.core.refusal import Refusal
from emulator.core.timeline import Occurrence
from emulator.dialects.azure.errors import JSON, error
from emulator.dialects.azure.facts import event_id
from emulator.dialects.azure.names import EVENTS
from emulator.dialects.azure.query import versioned
from emulator.model.events import Event
from emulator.model.instance import Instance

VERSIONS = frozenset(
    {
        "2017-03-01",
        "2017-08-01",
        "2017-11-01",
        "2019-01-01",
        "2019-04-01",
        "2019-08-01",
        "2020-07-01",
    }
)

# By the event's action; an interruption has one word whatever its action.
_TYPES = {
    "reboot": "Reboot",
    "host-reboot": "Reboot",
    "migrate": "Freeze",
    "freeze": "Freeze",
    "redeploy": "Redeploy",
    "stop": "Redeploy",
    "terminate": "Terminate",
}
_PREEMPT = "Preempt"
_SINCE = {
    _PREEMPT: "2017-11-01",
    "Terminate": "2019-01-01",
    "Description": "2019-04-01",
    "EventSource": "2019-08-01",
    "DurationInSeconds": "2020-07-01",
}
"""The version that brought an event's type or field."""

# An event that never ends would be shown for ever once its machine let it begin.
_SHOWN = 600

_MALFORMED = error("Bad request. StartRequests is a list of objects with an EventId")
_UNKNOWN = error("Bad request. An EventId names no event of this machine")
_PHASES = {"announced": 1, "begun": 2, "over": 3}


class _Start(msgspec.Struct):
    event_id: str = msgspec.field(name="EventId")


class _Approval(msgspec.Struct):
    starts: list[_Start] = msgspec.field(name="StartRequests")


class Scheduled(msgspec.Struct, frozen=True):
    """Shows the events of ``instance`` that are known now."""

    instance: Instance
    occurrences: tuple[Occurrence, ...]

    def __call__(self, request: Request, services: Services) -> Done:
        """Give those that are announced or under way."""
        asked = versioned(request.query, VERSIONS)
        if isinstance(asked, Reply):
            return asked
        now = services.ports.wall()
        told = [one for one in self.occurrences if _is_shown(one, now)]
        events = [_event(self.instance, one) for one in told]
        # Counts what has come to pass, so that a server that starts anew does not count back.
        least = 1 + sum(_changes(one, now) for one in self.occurrences if _type(one.event))
        number = services.incarnation(tag(msgspec.json.encode(events)), least)
        version = asked["api-version"]
        document = {
            "DocumentIncarnation": number,
            "Events": [_as_of(event, version) for event in events if _is_in(event, version)],
        }
        return Reply(200, msgspec.json.encode(document), JSON)


def approve(request: Request, services: Services) -> Done:
    """Take the guest's leave for events to begin; to say so twice is no mistake."""
    if request.path != EVENTS:
        return Refusal.NOT_FOUND
    asked = versioned(request.query, VERSIONS)
    if isinstance(asked, Reply):
        return asked
    try:
        wanted = msgspec.json.decode(request.body, type=_Approval)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _MALFORMED
    instance = services.instance
    known = {event_id(instance, event.id): event.id for event in instance.events if _type(event)}
    names = {known.get(start.event_id.upper(), "") for start in wanted.starts}
    if not names:
        return _MALFORMED
    if "" in names or not services.acknowledge(names):
        return _UNKNOWN
    return Reply(200, b"", JSON)


def _is_shown(one: Occurrence, now: float) -> bool:
    if not _type(one.event) or one.phase == "over":
        return False
    return one.ends is not None or now < one.begins + _SHOWN


def _changes(one: Occurrence, now: float) -> int:
    """Count how often the document changed for an event: it came, it began, it went."""
    return _PHASES[one.phase] if _is_shown(one, now) else _PHASES["over"]


def _type(event: Event) -> str:
    """Give Azure's word for an event, empty if it has none."""
    if event.kind == "interruption":
        return _PREEMPT
    return _TYPES[event.action] if event.kind == "maintenance" else ""


def _event(instance: Instance, one: Occurrence) -> dict[str, object]:
    begun = one.phase == "begun"
    return {
        "EventId": event_id(instance, one.event.id),
        "EventStatus": "Started" if begun else "Scheduled",
        "EventType": _type(one.event),
        "ResourceType": "VirtualMachine",
        "Resources": [instance.name],
        "NotBefore": "" if begun else formatdate(one.begins, usegmt=True),
        "Description": one.event.description,
        "EventSource": "Platform",
        "DurationInSeconds": -1 if one.ends is None else int(one.ends - one.begins),
    }


def _is_in(event: Mapping[str, object], version: str) -> bool:
    return _SINCE.get(str(event["EventType"]), "") <= version


def _as_of(event: Mapping[str, object], version: str) -> dict[str, object]:
    return {name: value for name, value in event.items() if _SINCE.get(name, "") <= version}
