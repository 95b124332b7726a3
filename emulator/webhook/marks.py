"""Reads an object's annotations, and says what is wrong with them in the words of its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError, Problem
from emulator.model.document import quoted
from emulator.sources.admission import Described, described
from emulator.sources.annotations import PREFIX, known, table
from emulator.webhook.objects import kind_of
from emulator.webhook.verdict import Cause

ENABLED = f"{PREFIX}enabled"

_KNOWN = frozenset(table(VOCABULARY))
_FLAGS = ("true", "false")


def ours(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Give the annotations with our prefix, whatever their values are."""
    return {key: value for key, value in annotations.items() if key.startswith(PREFIX)}


def untexts(annotations: Mapping[str, Any], place: str) -> list[Cause]:
    """Give a cause for each of our annotations whose value is no text.

    In a VirtualMachine's template YAML's ``true`` and ``5`` come this far.
    """
    return [
        Cause(_at(place, key), f"found {kind_of(value)}; allowed: text (quote it)")
        for key, value in ours(annotations).items()
        if not isinstance(value, str)
    ]


def misspelt(annotations: Mapping[str, str], place: str) -> list[Cause]:
    """Give what is wrong where no metadata service is asked for: names, and how it is asked for.

    Anything else may be wrong as long as it does nothing, so that a VM can be rid of it.
    """
    causes: list[Cause] = []
    for key, value in ours(annotations).items():
        if key.removeprefix(PREFIX) not in _KNOWN:
            allowed = known(key, _KNOWN)
            causes.append(Cause(_at(place, key), _words("an unknown annotation", allowed)))
        elif key == ENABLED and value not in _FLAGS:
            causes.append(Cause(_at(place, key), _words(quoted(value), " or ".join(_FLAGS))))
    return causes


def read(
    annotations: Mapping[str, str], place: str, *, name: str, namespace: str, account: str = ""
) -> Described | list[Cause]:
    """Give what the annotations of the machine ``name`` describe, or all that is wrong with them.

    ``place`` is the path of the object that has them, empty or with a dot at its end.
    """
    try:
        return described(
            annotations,
            VOCABULARY,
            name=name,
            namespace=namespace,
            service_account=account or "default",
        )
    except ConfigError as error:
        return [_cause(problem, annotations, place) for problem in error.problems]


def _cause(problem: Problem, keys: Iterable[str], place: str) -> Cause:
    """Say a problem of an annotation, or of a place inside its value, as the API server does."""
    field = problem.field
    inside = [key for key in keys if field == key or field.startswith((f"{key}.", f"{key}["))]
    key = max(inside, key=len, default=field if field.startswith(PREFIX) else "")
    words = _words(problem.found, problem.allowed)
    if not key:
        return Cause(f"{place}metadata.annotations", f"{field}: {words}" if field else words)
    return Cause(_at(place, key) + field[len(key) :].rstrip("."), words)


def _at(place: str, key: str) -> str:
    return f"{place}metadata.annotations[{key}]"


def _words(found: str, allowed: str) -> str:
    return f"found {found}; allowed: {allowed}"
