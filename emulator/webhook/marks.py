"""Reads an object's annotations, and says what is wrong with them in the words of its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError, Problem
from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import Unfit, quoted
from emulator.sources.admission import Described, described
from emulator.sources.annotations import ANNOTATIONS, PREFIX, stranger, table
from emulator.webhook import expansion
from emulator.webhook.objects import kind_of
from emulator.webhook.verdict import Cause

ENABLED = f"{PREFIX}enabled"

_KNOWN = frozenset(table(VOCABULARY))
_FLAGS = ("true", "false")
_USER_DATA = [PREFIX + row.name for row in ANNOTATIONS if row.field == "user_data"]

MOST_BYTES = 256 << 10
"""Names and values of all annotations of an object (apimachinery, TotalAnnotationSizeLimitB)."""


def ours(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Give the annotations with our prefix, whatever their values are."""
    return {key: value for key, value in annotations.items() if key.startswith(PREFIX)}


def untexts(annotations: Mapping[str, Any], place: str) -> list[Cause]:
    """Give a cause for each of our annotations whose value is no text.

    In a VirtualMachine's template YAML's ``true`` and ``5`` come this far.
    """
    found = (item for item in ours(annotations).items() if not isinstance(item[1], str))
    return [
        Cause(_at(place, key), _words(kind_of(value), "text (quote it)"))
        for key, value in islice(found, MAX_PROBLEMS)
    ]


def oversized(annotations: Mapping[str, Any], place: str, room: int) -> list[Cause]:
    """Give a cause if there is more than Kubernetes lets annotations hold, less ``room`` bytes.

    It does not look at those of a VirtualMachine's template, but at their copies later.
    """
    texts = (text for item in annotations.items() for text in item if isinstance(text, str))
    size = sum(len(text.encode()) for text in texts)
    if size <= MOST_BYTES - room:
        return []
    allowed = (
        f"{MOST_BYTES - room} bytes of names and values together; much user data or vendor data "
        f"belongs into a Secret ({PREFIX}user-data-secret)"
    )
    return [Cause(f"{place}metadata.annotations", _words(f"{size} bytes", allowed))]


def misspelt(annotations: Mapping[str, str], place: str) -> list[Cause]:
    """Give what is wrong where no metadata service is asked for: names, and how it is asked for.

    Anything else may be wrong as long as it does nothing, so that a VM can be rid of it.
    """
    strange = (key for key in ours(annotations) if key.removeprefix(PREFIX) not in _KNOWN)
    wrong = [(key, stranger(key, _KNOWN)) for key in islice(strange, MAX_PROBLEMS)]
    if annotations.get(ENABLED, "false") not in _FLAGS:
        wrong.append((ENABLED, Unfit(quoted(annotations[ENABLED]), " or ".join(_FLAGS))))
    return [Cause(_at(place, key), _words(bad.found, bad.allowed)) for key, bad in wrong]


def read(
    annotations: Mapping[str, str], place: str, *, name: str, namespace: str, account: str = ""
) -> Described | list[Cause]:
    """Give what the annotations of the machine ``name`` describe, or all that is wrong with them.

    ``place`` is the path of the object that has them, empty or with a dot at its end.
    """
    try:
        found = described(
            annotations,
            VOCABULARY,
            name=name,
            namespace=namespace,
            service_account=account or "default",
        )
    except ConfigError as error:
        return [_cause(problem, annotations, place) for problem in error.problems]
    wrong = expansion.mistake(found.instance.user_data)
    key = next((key for key in _USER_DATA if key in annotations), "")
    return [Cause(_at(place, key), _words(wrong, "Jinja"))] if wrong else found


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
