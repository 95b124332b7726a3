"""One JSON line for each decision, without anything that a VM's owner wrote but names."""

from __future__ import annotations

import os
import sys

import msgspec

from emulator.webhook.objects import text
from emulator.webhook.verdict import Request, Verdict

_LONGEST = 300


class Decision(msgspec.Struct, frozen=True):
    """One decision.

    ``time`` is seconds since the epoch, ``name`` the object's or its ``generateName``, ``reason``
    the fields for which it was refused, or in a word or two why nothing was done to it.
    """

    time: float
    path: str
    kind: str
    namespace: str
    name: str
    operation: str
    allowed: bool
    changed: bool
    reason: str
    warnings: int
    duration_us: int


def decision(
    request: Request, verdict: Verdict, path: str, time: float, seconds: float
) -> Decision:
    """Give the line for ``verdict``, which took ``seconds``."""
    metadata = ("metadata", "name"), ("metadata", "generateName")
    names = (request.name, *(text(request.object, *where) for where in metadata))
    return Decision(
        time=time,
        path=path,
        kind=request.kind.kind[:_LONGEST],
        namespace=request.namespace[:_LONGEST],
        name=next(filter(None, names), "")[:_LONGEST],
        operation=request.operation[:_LONGEST],
        allowed=verdict.allowed,
        changed=verdict.allowed and verdict.object is not request.object,
        reason=_fields(verdict)[:_LONGEST] or verdict.why,
        warnings=len(verdict.warnings),
        duration_us=int(seconds * 1e6),
    )


def _fields(verdict: Verdict) -> str:
    """Give the fields of the causes, without places inside the value of an annotation."""
    fields = (cause.field[: cause.field.find("]") + 1] or cause.field for cause in verdict.causes)
    return ", ".join(dict.fromkeys(fields))


class Journal:
    """Writes decisions to standard error, one JSON line each."""

    def __init__(self, *, quiet: bool) -> None:
        """With ``quiet`` write nothing."""
        self._quiet = quiet
        self._encoder = msgspec.json.Encoder()

    def __call__(self, made: Decision) -> None:
        """Write one line; a log that cannot be written costs nobody an answer."""
        if self._quiet:
            return
        try:
            os.write(sys.stderr.fileno(), self._encoder.encode(made) + b"\n")
        except OSError:
            return
