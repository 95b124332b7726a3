"""Everything that one virtual machine can be answered under one configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from weakref import WeakValueDictionary

import msgspec

from emulator.core.message import Answer, Live, Request, Services
from emulator.core.policy import Area, CompiledArea, Document, Refusal

OFF = CompiledArea(Area(name="off"), "none")
READS = frozenset({"GET", "HEAD"})


class Row(msgspec.Struct, frozen=True):
    """A path, the area that governs it, its answer, prebuilt or a function, and that one's class.

    One that ``joins`` is meant to be made one with others of its path (``render.joined``).
    """

    path: str
    area: CompiledArea
    answer: Answer | Live
    joins: bool = False
    document: Document = "meta-data"


class Layout:
    """Which path leads to which slot under which area; machines of one shape share one object."""

    __slots__ = (
        "__weakref__",
        "aliases",
        "areas",
        "depth",
        "documents",
        "known",
        "prefixes",
        "slots",
    )

    def __init__(
        self,
        slots: Mapping[str, int],
        by_slot: tuple[tuple[CompiledArea, ...], tuple[Document, ...]],
        prefixes: Mapping[str, CompiledArea],
        known: frozenset[str],
        aliases: Mapping[str, str],
    ) -> None:
        """Keep slots by path, areas and classes by slot, areas by prefix, and all known prefixes.

        Below a first segment that ``aliases`` names, what has no slot of its own is looked for
        below the other one.
        """
        self.slots = slots
        self.areas, self.documents = by_slot
        self.prefixes = prefixes
        self.known = known
        self.depth = max((prefix.count("/") for prefix in (*known, *prefixes)), default=0)
        self.aliases = aliases

    def canonical(self, path: str) -> str:
        """Give the path under whose name an alias is kept, or ``path`` itself."""
        first, slash, rest = path[1:].partition("/")
        other = self.aliases.get(first)
        return path if other is None else f"/{other}{slash}{rest}"

    def miss(self, path: str) -> tuple[CompiledArea, Refusal]:
        """Say which area a path without a slot belongs to, and how it is refused."""
        # No deeper than any prefix: a path of thousands of segments is not to be cut as often.
        prefix = "/".join(path.split("/", self.depth + 1)[: self.depth + 1])
        while prefix:
            area = self.prefixes.get(prefix)
            if area is not None:
                return area, Refusal.NOT_FOUND if prefix == path else area.missing
            if prefix in self.known:
                return OFF, Refusal.DIALECT_OFF
            prefix = prefix.rpartition("/")[0]
        return OFF, Refusal.NOT_FOUND


class Decision(msgspec.Struct, frozen=True):
    """What a request gets, prebuilt or to be computed; ``refusal`` says why it is not data.

    ``lines`` are header lines that only this answer has. It is ``known`` if there is something at
    the path that was asked for, and then ``document`` is its class.
    """

    area: CompiledArea
    answer: Answer | Live
    refusal: str | None = None
    lines: bytes = b""
    known: bool = False
    document: Document = "none"


class Snapshot:
    """The answers of one machine, by slot of its layout."""

    __slots__ = ("answers", "layout")

    def __init__(self, layout: Layout, answers: tuple[Answer | Live, ...]) -> None:
        """Pair ``layout`` with this machine's ``answers``."""
        self.layout = layout
        self.answers = answers

    def decide(self, request: Request, services: Services | None = None) -> Decision:
        """Apply contract 9.3, steps 2 to 7: persona, header rules, method, look-up.

        ``services`` are those of the machine that asks, None for a stranger.
        """
        layout = self.layout
        path = request.path
        slot = layout.slots.get(path)
        if slot is None:
            path = layout.canonical(path)
            slot = layout.slots.get(path)
        if slot is None:
            return self._absent(path, request, services)
        area = layout.areas[slot]
        document = layout.documents[slot]
        passed = area.gate(request, services)
        if isinstance(passed, Refusal):
            return Decision(area, area.refusals[passed], passed, known=True, document=document)
        if area.writes is not None and request.method not in READS:
            return Decision(area, area.writes, None, passed, known=True, document=area.document)
        return Decision(area, self.answers[slot], None, passed, known=True, document=document)

    def _absent(self, path: str, request: Request, services: Services | None) -> Decision:
        """Decide where there is nothing to be read."""
        area, missing = self.layout.miss(path)
        document = area.document if missing is Refusal.UNKNOWN_IDENTITY else "none"
        passed = area.gate(request, services) if area is not OFF else missing
        if isinstance(passed, Refusal):
            return Decision(area, area.refusals[passed], passed, document=document)
        if area.writes is not None and request.method not in READS:
            return Decision(area, area.writes, None, passed, document=area.document)
        return Decision(area, area.refusals[missing], missing, document=document)


class Compiler:
    """Makes snapshots, sharing layouts and equal answers between machines."""

    def __init__(self, known: frozenset[str]) -> None:
        """Take the prefixes of every dialect that exists, on or off."""
        self._known = known
        # Weak: what no machine has any more goes with the last that had it.
        self._layouts: WeakValueDictionary[object, Layout] = WeakValueDictionary()
        self._answers: WeakValueDictionary[object, Answer] = WeakValueDictionary()

    def compile(
        self,
        rows: Iterable[Row],
        areas: Sequence[CompiledArea],
        aliases: Mapping[str, str] = MappingProxyType({}),
    ) -> Snapshot:
        """Make the snapshot of ``rows``; where two rows claim a path, the first one has it."""
        slots: dict[str, int] = {}
        by_content: dict[object, int] = {}
        answers: list[Answer | Live] = []
        slot_areas: list[CompiledArea] = []
        documents: list[Document] = []
        for row in rows:
            if row.path in slots:
                continue
            answer = self._shared(row.answer)
            content = (id(answer), id(row.area), row.document)
            if content not in by_content:
                by_content[content] = len(answers)
                answers.append(answer)
                slot_areas.append(row.area)
                documents.append(row.document)
            slots[row.path] = by_content[content]
        by_slot = (tuple(slot_areas), tuple(documents))
        layout = self._layout(slots, by_slot, areas, aliases)
        return Snapshot(layout, tuple(answers))

    def _shared(self, answer: Answer | Live) -> Answer | Live:
        if isinstance(answer, Answer):
            key = (answer.status, answer.head, answer.body)
            return self._answers.setdefault(key, answer)
        return answer

    def _layout(
        self,
        slots: dict[str, int],
        by_slot: tuple[tuple[CompiledArea, ...], tuple[Document, ...]],
        on: Sequence[CompiledArea],
        aliases: Mapping[str, str],
    ) -> Layout:
        # The areas that are on tell the dialects, and these their aliases.
        areas, documents = by_slot
        key = (tuple(slots.items()), tuple(map(id, areas)), documents, tuple(map(id, on)))
        found = self._layouts.get(key)
        if found is None:
            prefixes: dict[str, CompiledArea] = {}
            for area in on:
                for prefix in area.prefixes:
                    prefixes.setdefault(prefix, area)
            made = Layout(slots, by_slot, prefixes, self._known, aliases)
            found = self._layouts[key] = made
        return found
