"""What a dialect is: a value that says which documents it serves and under which rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from emulator.core.message import JSON, TEXT, Live
from emulator.core.policy import Area, RequireHeader
from emulator.core.tree import Listing
from emulator.model.instance import Instance


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an owner may set about a dialect of a machine; a dialect with choices extends it."""


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """The SMBIOS values by which a stock guest finds the dialect (contract 7.2)."""

    product: str = ""
    serial: str = ""
    asset: str = ""
    uuid_prefix: str = ""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect may look at: the machine, its choices, today (``YYYY-MM-DD``)."""

    instance: Instance
    policy: Any
    section: Any = None
    today: str = ""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One document and every path at which it is served.

    Exactly one of ``template`` (name below the dialect's folder, without ``.j2``), ``body`` and
    ``live`` says where its bytes come from. ``variables`` are added to the template's own. With
    ``tree`` the template gives a JSON object whose nested keys become leaves below each path;
    values are strings, numbers, or null for absent. Listings show it if ``listed``, and
    those above a directory in ``hidden`` do not show that one. ``newline`` ends a JSON document
    with one.
    """

    paths: tuple[str, ...]
    area: str
    template: str = ""
    body: bytes | None = None
    live: Live | None = None
    variables: Mapping[str, object] = {}
    type: str = TEXT
    tree: bool = False
    listed: bool = True
    hidden: tuple[str, ...] = ()
    newline: bool = False


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """A metadata dialect.

    ``areas`` gives its rules for a policy (a pure function: equal policies share the result),
    ``leaves`` its documents, in the order of its listings. ``brings`` names companions that its
    clients need. ``example`` is a path worth trying first. ``always`` serves it to every machine.
    Templates that an owner adds appear in the ``extra`` directories.
    """

    name: str
    summary: str
    areas: Callable[[Any], tuple[Area, ...]]
    leaves: Callable[[View], Iterable[Leaf]]
    listings: tuple[Listing, ...] = ()
    policy: type[Policy] = Policy
    section: type[msgspec.Struct] | None = None
    hint: Hint = Hint()
    brings: tuple[str, ...] = ()
    example: str = ""
    always: bool = False
    extra: tuple[str, ...] = ()
    extra_area: str = ""


def eras(versions: Iterable[str], changes: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Group ``versions`` that look alike under the change that last came before or with them.

    Versions are dates, or words like ``latest`` that sort behind all dates. The first change must
    not come after any of them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for version in versions:
        era = max(change for change in changes if change <= version)
        found[era] = (*found.get(era, ()), version)
    return found


def content_type(name: str) -> str:
    """Give the content type of a document by its name's ending."""
    return JSON if name.endswith(".json") else TEXT


def required(dialect: Dialect, policy: msgspec.Struct) -> list[str]:
    """Give the header lines that the dialect's example must be asked with."""
    areas = [
        (prefix, area)
        for area in dialect.areas(policy)
        for prefix in area.prefixes
        if dialect.example.startswith(prefix)
    ]
    _, area = max(areas, key=lambda found: len(found[0]))
    return [f"{rule.name}: {rule.value}" for rule in area.rules if isinstance(rule, RequireHeader)]
