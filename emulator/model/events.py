"""What happens to a machine while it runs, in words that every cloud's dialect can use."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from emulator.model.mistake import Mistake, again, numbered
from emulator.model.network import Value

_TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})"
_LATER = r"(\+\d{1,9}[smhd])?"
_WORDS = (
    "a time (2026-12-01T10:00:00Z), or {} and perhaps how much later, such as +90s, +2m, +1h, +1d"
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

Notice = Annotated[
    str,
    Meta(
        pattern=rf"^({_TIME}|(start|first-request){_LATER})$",
        extra={"allowed": _WORDS.format("start or first-request")},
    ),
]
Begins = Annotated[
    str,
    Meta(
        pattern=rf"^(|{_TIME}|(start|first-request|notice){_LATER})$",
        extra={"allowed": _WORDS.format("start, first-request or notice")},
    ),
]
Ends = Annotated[
    str,
    Meta(
        pattern=rf"^(|{_TIME}|(start|first-request|notice|begins){_LATER})$",
        extra={"allowed": _WORDS.format("start, first-request, notice or begins")},
    ),
]

Kind = Literal["interruption", "rebalance", "maintenance", "lifecycle"]
Action = Literal[
    "", "terminate", "stop", "hibernate", "reboot", "host-reboot", "migrate", "freeze", "redeploy"
]

ACTIONS: dict[str, tuple[str, ...]] = {
    "interruption": ("terminate", "stop", "hibernate"),
    "rebalance": ("",),
    "maintenance": (
        "reboot",
        "host-reboot",
        "migrate",
        "freeze",
        "redeploy",
        "stop",
        "terminate",
    ),
    "lifecycle": ("",),
}
"""The actions of each kind, its default first."""

_BEGINS = {"interruption": "notice+2m", "maintenance": "notice+1h"}
_ENDS = {"maintenance": "begins+2h"}


class Event(Value, frozen=True):
    """Something that the machine is told of, at a time of its own."""

    kind: Annotated[
        Kind,
        Meta(
            description="`interruption`: the cloud takes the machine back (spot, preemption); "
            "`rebalance`: it might soon; `maintenance`: scheduled work on its host; `lifecycle`: "
            "the group that it is in wants it in another state."
        ),
    ]
    id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{0,64}$",
            description="Its id in all dialects; derived from the machine and its place here.",
            extra={"allowed": "at most 64 letters, digits, '_' and '-'"},
        ),
    ] = ""
    action: Annotated[
        Action,
        Meta(
            description="What will happen: of an interruption `terminate` (default), `stop` or "
            "`hibernate`; of maintenance `reboot` (default), `host-reboot`, `migrate`, `freeze`, "
            "`redeploy`, `stop` or `terminate`."
        ),
    ] = ""
    state: Annotated[
        Literal["", "InService", "Standby", "Detached", "Terminated"],
        Meta(description="The state that a `lifecycle` event wants."),
    ] = ""
    notice: Annotated[Notice, Meta(description="When the guest begins to see it.")] = "start"
    begins: Annotated[
        Begins,
        Meta(
            description="When what it announces happens; by default `notice+2m` for an "
            "interruption, `notice+1h` for maintenance, else `notice`."
        ),
    ] = ""
    ends: Annotated[
        Ends,
        Meta(
            description="When it is over and vanishes; by default `begins+2h` for maintenance, "
            "else never."
        ),
    ] = ""
    outcome: Annotated[
        Literal["completed", "canceled"],
        Meta(description="How maintenance that is over is remembered."),
    ] = "completed"
    description: Annotated[
        str,
        Meta(
            max_length=255,
            pattern=r"^[^\x00-\x1f\x7f]*$",
            description="A line about it.",
            extra={"allowed": "at most 255 characters on one line"},
        ),
    ] = ""


def moment(text: str) -> tuple[str, float]:
    """Give the base of a moment and the seconds after it.

    The base is a word (``start``, ``notice``, ...), or empty for the epoch. Raises ``ValueError``
    for a time that no calendar has.
    """
    word, plus, later = text.partition("+")
    if re.fullmatch(r"[a-z-]+", word):
        return word, int(later[:-1]) * _UNITS[later[-1]] if plus else 0.0
    return "", dt.datetime.fromisoformat(text).timestamp()


def completed(event: Event, identity: str) -> Event:
    """Give the event with everything filled in; ``identity`` is its id if it has none."""
    return Event(
        id=event.id or identity,
        kind=event.kind,
        action=event.action or _first(event.kind),
        state=event.state,
        notice=event.notice,
        begins=event.begins or _BEGINS.get(event.kind, "notice"),
        ends=event.ends or _ENDS.get(event.kind, ""),
        outcome=event.outcome,
        description=event.description,
    )


def _first(kind: Kind) -> Action:
    for action in ("terminate", "reboot"):
        if action == ACTIONS[kind][0]:
            return action
    return ""


def mistakes(events: tuple[Event, ...]) -> Iterator[Mistake]:
    """Give what is wrong between the fields of ``events``."""
    given = [(path, text) for path, text in numbered("events[{}].id", [e.id for e in events])]
    yield from again((pair for pair in given if pair[1]), "each id once")
    for index, event in enumerate(events):
        yield from _event(event, f"events[{index}]")


def _event(event: Event, path: str) -> Iterator[Mistake]:
    if event.action and event.action not in ACTIONS[event.kind]:
        allowed = ", ".join(filter(None, ACTIONS[event.kind])) or "none"
        yield Mistake.at(f"{path}.action", event.action, f"with {event.kind}: {allowed}")
    if bool(event.state) != (event.kind == "lifecycle"):
        allowed = "the wanted state with lifecycle, and only there"
        yield Mistake.at(f"{path}.state", event.state, allowed)
    times: dict[str, tuple[str, float]] = {}
    for name in ("notice", "begins", "ends"):
        text = getattr(event, name)
        try:
            times[name] = moment(text) if text else ("", 0.0)
        except ValueError as error:
            yield Mistake.at(f"{path}.{name}", text, f"a time of the calendar ({error})")
            return
    for earlier, later in (("notice", "begins"), ("begins", "ends")):
        before, after = times[earlier], times[later]
        both = getattr(event, earlier) and getattr(event, later)
        if both and before[0] == after[0] and after[1] < before[1]:
            yield Mistake.at(f"{path}.{later}", getattr(event, later), f"no time before {earlier}")
