"""Everything that one virtual machine can be answered under one configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

import msgspec

from emulator.core.message import Answer, Live, Request
from emulator.core.policy import Area, CompiledArea, Refusal

OFF = CompiledArea(Area(name="off"), "none")


class Row(msgspec.Struct, frozen=True):
    """A path, the area that governs it, and its answer, prebuilt or a function."""

    path: str
    area: CompiledArea
    answer: Answer | Live


class Layout:
    """Which path leads to which slot under which area; machines of one shape share one object."""

    __slots__ = ("__weakref__", "areas", "known", "prefixes", "slots")

    def __init__(
        self,
        slots: Mapping[str, int],
        areas: tuple[CompiledArea, ...],
        prefixes: Mapping[str, CompiledArea],
        known: frozenset[str],
    ) -> None:
        """Keep slots by path, areas by slot and by prefix, and every dialect's prefixes."""
        self.slots = slots
        self.areas = areas
        self.prefixes = prefixes
        self.known = known

    def miss(self, path: str) -> tuple[CompiledArea, Refusal]:
        """Say which area a path without a slot belongs to, and how it is refused."""
        prefix = path
        while prefix:
            area = self.prefixes.get(prefix)
            if area is not None:
                return area, Refusal.NOT_FOUND
            if prefix in self.known:
                return OFF, Refusal.DIALECT_OFF
            prefix = prefix.rpartition("/")[0]
        return OFF, Refusal.NOT_FOUND


class Decision(msgspec.Struct, frozen=True):
    """What a request gets, prebuilt or to be computed; ``refusal`` says why it is not data."""

    area: CompiledArea
    answer: Answer | Live
    refusal: str | None = None


class Snapshot:
    """The answers of one machine, by slot of its layout."""

    __slots__ = ("answers", "layout")

    def __init__(self, layout: Layout, answers: tuple[Answer | Live, ...]) -> None:
        """Pair ``layout`` with this machine's ``answers``."""
        self.layout = layout
        self.answers = answers

    def decide(self, request: Request) -> Decision:
        """Apply contract 9.3, steps 2 to 7: persona, header rules, method, look-up."""
        layout = self.layout
        slot = layout.slots.get(request.path)
        if slot is None:
            area, missing = layout.miss(request.path)
            refusal = area.gate(request) if area is not OFF else None
            refusal = refusal or missing
            return Decision(area, area.refusals[refusal], refusal)
        area = layout.areas[slot]
        refusal = area.gate(request)
        if refusal is not None:
            return Decision(area, area.refusals[refusal], refusal)
        return Decision(area, self.answers[slot])


class Compiler:
    """Makes snapshots, sharing layouts and equal answers between machines."""

    def __init__(self, known: frozenset[str]) -> None:
        """Take the prefixes of every dialect that exists, on or off."""
        self._known = known
        # Weak: what no machine has any more goes with the last that had it.
        self._layouts: WeakValueDictionary[object, Layout] = WeakValueDictionary()
        self._answers: WeakValueDictionary[object, Answer] = WeakValueDictionary()

    def compile(self, rows: Iterable[Row], areas: Sequence[CompiledArea]) -> Snapshot:
        """Make the snapshot of ``rows``; where two rows claim a path, the first one has it."""
        slots: dict[str, int] = {}
        by_content: dict[object, int] = {}
        answers: list[Answer | Live] = []
        slot_areas: list[CompiledArea] = []
        for row in rows:
            if row.path in slots:
                continue
            answer = self._shared(row.answer)
            content = (id(answer), id(row.area))
            if content not in by_content:
                by_content[content] = len(answers)
                answers.append(answer)
                slot_areas.append(row.area)
            slots[row.path] = by_content[content]
        layout = self._layout(slots, tuple(slot_areas), areas)
        return Snapshot(layout, tuple(answers))

    def _shared(self, answer: Answer | Live) -> Answer | Live:
        if isinstance(answer, Answer):
            key = (answer.status, answer.head, answer.body)
            return self._answers.setdefault(key, answer)
        return answer

    def _layout(
        self, slots: dict[str, int], areas: tuple[CompiledArea, ...], on: Sequence[CompiledArea]
    ) -> Layout:
        key = (tuple(slots.items()), tuple(map(id, areas)), tuple(map(id, on)))
        found = self._layouts.get(key)
        if found is None:
            prefixes: dict[str, CompiledArea] = {}
            for area in on:
                for prefix in area.prefixes:
                    prefixes.setdefault(prefix, area)
            found = self._layouts[key] = Layout(slots, areas, prefixes, self._known)
        return found
