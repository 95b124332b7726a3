"""What a dialect is: a value that says which documents it serves and under which rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from emulator.core.message import JSON, TEXT, HeaderLines, Live
from emulator.core.pages import Pages
from emulator.core.policy import Area, Document, RequireHeader, Session
from emulator.core.session import TOKEN_HEADER, TTL_HEADER
from emulator.core.timeline import Occurrence
from emulator.core.tree import Listing
from emulator.model.instance import Instance
from emulator.model.mistake import Mistake

IDENTITY_NOT_FOUND = "Identity not found"
"""What Azure says of a machine without a managed identity, and every other machine too."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an owner may set about a dialect of a machine; a dialect with choices extends it."""


class SessionPolicy(Policy, frozen=True, kw_only=True):
    """Choices about a dialect that gives session tokens."""

    hop_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Hops that an answer with a token travels: 1 reaches the machine itself, "
            "2 also a container behind its own router.",
        ),
    ] = 1

    @property
    def gives_tokens(self) -> bool:
        """Whether the dialect gives any under this policy."""
        return True


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """The SMBIOS values by which a stock guest finds the dialect (contract 7.2)."""

    product: str = ""
    serial: str = ""
    asset: str = ""
    uuid_prefix: str = ""


def anybody(_namespace: str) -> bool:
    """Attest every namespace, as where a key speaks for all."""
    return True


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect may look at: the machine, its choices, today (``YYYY-MM-DD``), its events.

    ``written`` is what the guest itself has said, by name. ``attests`` says whether there is a key
    whose signature speaks for a namespace.
    """

    instance: Instance
    policy: Any
    section: Any = None
    today: str = ""
    occurrences: tuple[Occurrence, ...] = ()
    written: Mapping[str, str] = MappingProxyType({})
    attests: Callable[[str], bool] = anybody


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One document and every path at which it is served.

    Exactly one of ``template`` (name below the dialect's folder, without ``.j2``), ``body`` and
    ``live`` says where its bytes come from. ``variables`` are added to the template's own. With
    ``tree`` the template gives a JSON object whose nested keys become leaves below each path;
    values are strings, numbers, or null for absent. Listings show it if ``listed``, and
    those above a directory in ``hidden`` do not show that one. ``newline`` ends a JSON document
    with one. With ``seal`` the path gives a signature of the document, in that form; as
    ``certificate`` it gives what verifies one.

    With ``pages`` the template gives a JSON document each of whose parts has a path below the only
    one of ``paths``, in the area with the longest prefix of it. What ``joins`` is served together
    with what other dialects have at the same path, one after the other.

    Its class is ``document``, or else its area's. Of a tree's leaves and a document's parts, those
    at or below a path in ``parts`` have the class that is given there; the longest one counts.
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
    seal: str = ""
    pages: Callable[[str, object, HeaderLines], Pages] | None = None
    joins: bool = False
    document: Document | None = None
    parts: Mapping[str, Document] = {}

    def part(self, path: str) -> Document | None:
        """Give the class of what is at ``path`` below the root, None if only its area says."""
        while path:
            found = self.parts.get(path)
            if found is not None:
                return found
            path = path.rpartition("/")[0]
        return self.document


def _settled(policy: Policy, _names: frozenset[str], _instance: Instance) -> Policy:
    return policy


def _no_rules(_instance: Instance) -> Iterable[Mistake]:
    return ()


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """A metadata dialect.

    ``hint`` is how a stock guest finds it, ``settable`` the same for hypervisors that let one
    machine have its own serial, asset tag and UUID only (KubeVirt), if it differs.

    ``areas`` gives its rules for a policy (a pure function: equal policies share the result),
    ``leaves`` its documents, in the order of its listings. ``brings`` names companions that its
    clients need, ``replaces`` those that are not served beside it. ``example`` is a path worth
    trying first. ``always`` serves it to every machine, ``anyone`` to strangers too. Templates
    that an owner adds appear in the ``extra`` directories.

    ``settle`` gives the policy with what depends on the names of all dialects that are on and on
    the machine, ``rules`` the mistakes that only it can find in a description. First segments in
    ``aliases`` stand for others. With ``dated`` its documents say when they were rendered, with
    ``written`` what the guest itself has said. Session tokens, if it has any, are given at
    ``tokens_at``.

    ``hosts`` are names by which its clients ask for the metadata address. ``doors`` are further
    addresses at which they ask: by the door's name, the one where they look for it. There every
    path begins with that name and a colon (``wireserver:/machine``), so that what is served at one
    address is nowhere else.
    """

    name: str
    summary: str
    areas: Callable[[Any], tuple[Area, ...]]
    leaves: Callable[[View], Iterable[Leaf]]
    listings: tuple[Listing, ...] = ()
    policy: type[Policy] = Policy
    section: type[msgspec.Struct] | None = None
    hint: Hint = Hint()
    settable: Hint | None = None
    brings: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    settle: Callable[[Any, frozenset[str], Instance], Any] = _settled
    rules: Callable[[Instance], Iterable[Mistake]] = _no_rules
    aliases: Mapping[str, str] = {}
    dated: bool = False
    written: bool = False
    tokens_at: str = ""
    hosts: tuple[str, ...] = ()
    doors: Mapping[str, str] = {}
    example: str = ""
    always: bool = False
    anyone: bool = False
    extra: tuple[str, ...] = ()
    extra_area: str = ""


def later(module: str, name: str) -> Callable[..., Any]:
    """Give the function ``name`` of ``module``, which is imported when it is first called.

    What a machine does not have, its server should not carry.
    """

    def call(*arguments: object) -> Any:  # noqa: ANN401
        return getattr(import_module(module), name)(*arguments)

    return call


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


def key_label(name: str) -> str:
    """Give a key's name for the listings of EC2's trees, which show it as ``0=name``.

    afterburn splits a line at its only ``=``, cloud-init at every line break that Unicode has, and
    cloud-init takes a final slash for a directory's.
    """
    return " ".join(name.replace("=", "").split()).rstrip("/") or "key"


def content_type(name: str) -> str:
    """Give the content type of a document by its name's ending."""
    return JSON if name.endswith(".json") else TEXT


def required(dialect: Dialect, policy: msgspec.Struct, url: str) -> list[str]:
    """Give the header lines that the example must be asked with at ``url``, quoted for a shell."""
    areas = [
        (prefix, area)
        for area in dialect.areas(policy)
        for prefix in area.prefixes
        if dialect.example.startswith(prefix)
    ]
    _, area = max(areas, key=lambda found: len(found[0]))
    lines = [f"'{rule.name}: {rule.value}'" for rule in area.rules if type(rule) is RequireHeader]
    if area.session is Session.REQUIRED:
        wish = f"curl -s -X PUT -H '{TTL_HEADER}: 60' {url}{dialect.tokens_at}"
        lines.append(f'"{TOKEN_HEADER}: $({wish})"')
    return lines
