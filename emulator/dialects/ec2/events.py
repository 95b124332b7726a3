"""A machine's events in EC2's words (contract 3.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import msgspec

from emulator.core.timeline import Occurrence, rfc3339
from emulator.dialects.ec2.section import Ec2

# What EC2 calls the work on a host, by what it does to the machine.
_CODES = {
    "reboot": "instance-reboot",
    "host-reboot": "system-reboot",
    "migrate": "system-maintenance",
    "freeze": "system-maintenance",
    "redeploy": "instance-stop",
    "stop": "instance-stop",
    "terminate": "instance-retirement",
}


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """The documents about events; empty ones are absent."""

    scheduled: str
    history: str
    rebalance: str
    spot_action: str
    spot_termination: str
    lifecycle_state: str


def events(occurrences: Iterable[Occurrence], section: Ec2) -> Events:
    """Give what a guest reads while ``occurrences`` are its events."""
    told = list(occurrences)
    now = [one for one in told if one.phase != "over"]
    interruption = _latest(now, "interruption")
    rebalance = _latest(now, "rebalance")
    lifecycle = _latest(now, "lifecycle")
    ends = interruption is not None and interruption.event.action == "terminate"
    return Events(
        scheduled=_maintenance(one for one in told if one.phase != "over"),
        history=_maintenance(one for one in told if one.phase == "over"),
        rebalance=_json({"noticeTime": rfc3339(rebalance.notice)}) if rebalance else "",
        spot_action=_spot(interruption) if interruption else "",
        spot_termination=rfc3339(interruption.begins) if interruption and ends else "",
        lifecycle_state=lifecycle.event.state if lifecycle else section.auto_scaling_state,
    )


def _latest(occurrences: list[Occurrence], kind: str) -> Occurrence | None:
    return next((one for one in reversed(occurrences) if one.event.kind == kind), None)


def _spot(occurrence: Occurrence) -> str:
    return _json({"action": occurrence.event.action, "time": rfc3339(occurrence.begins)})


def _maintenance(occurrences: Iterable[Occurrence]) -> str:
    found = [
        {
            "NotBefore": _date(one.begins),
            "Code": _CODES[one.event.action],
            "Description": one.event.description or f"The machine is due: {one.event.action}",
            "EventId": f"instance-event-{one.event.id}",
            **({"NotAfter": _date(one.ends)} if one.ends is not None else {}),
            "State": one.event.outcome if one.phase == "over" else "active",
        }
        for one in occurrences
        if one.event.kind == "maintenance"
    ]
    return _json(found)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _date(seconds: float) -> str:
    """Write a time as EC2 does here: ``21 Jan 2026 09:00:43 GMT``."""
    moment = dt.datetime.fromtimestamp(int(seconds), dt.UTC)
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[3 * moment.month - 3 : 3 * moment.month]
    return f"{moment:%d} {month} {moment:%Y %H:%M:%S} GMT"
