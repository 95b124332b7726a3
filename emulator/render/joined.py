"""Documents that several dialects have at one path, such as the versions at ``/``, made one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from emulator.core.message import Answer
from emulator.core.policy import Closed, CompiledArea
from emulator.core.snapshot import Row


class Joined:
    """Makes one row of those that join, and remembers the areas that come of it."""

    def __init__(self) -> None:
        """Start with none."""
        self._areas: dict[tuple[CompiledArea, ...], CompiledArea] = {}

    def together(self, rows: Iterable[Row]) -> list[Row]:
        """Give ``rows``; of those that join at one path, the first with the texts of all.

        Its area then has the headers of all areas, on its refusals too; of two headers of one
        name the first counts. What is closed does not close it to the others.
        """
        found: list[Row] = []
        places: dict[str, int] = {}
        parts: dict[str, list[Row]] = {}
        for row in rows:
            if not row.joins:
                found.append(row)
                continue
            if row.path not in places:
                places[row.path] = len(found)
                found.append(row)
            parts.setdefault(row.path, []).append(row)
        for path, place in places.items():
            joined = [row for row in parts[path] if not _is_closed(row.area)] or parts[path]
            found[place] = self._one(joined) if len(joined) > 1 else joined[0]
        return found

    def _one(self, rows: list[Row]) -> Row:
        first = rows[0].answer
        assert isinstance(first, Answer)  # noqa: S101 - only documents join
        texts = [row.answer.body for row in rows if isinstance(row.answer, Answer)]
        area = self._union(tuple(row.area for row in rows))
        known = len(rows[0].area.common)
        added = "".join(f"{name}: {value}\r\n" for name, value in area.common[known:])
        end = b"\n" if texts[-1].endswith(b"\n") else b""
        answer = Answer(
            first.status,
            first.head + added.encode("latin-1"),
            b"\n".join(text.rstrip(b"\n") for text in texts) + end,
        )
        return replace(rows[0], area=area, answer=answer)

    def _union(self, areas: tuple[CompiledArea, ...]) -> CompiledArea:
        if areas not in self._areas:
            headers = {
                name.lower(): (name, value)
                for area in reversed(areas)
                for name, value in area.common
            }
            first = areas[0].area.headers
            names = {name.lower() for name, _ in first}
            more = tuple(line for name, line in headers.items() if name not in names)
            area = replace(areas[0].area, headers=(*first, *more))
            self._areas[areas] = CompiledArea(area, areas[0].dialect)
        return self._areas[areas]


def _is_closed(area: CompiledArea) -> bool:
    return any(isinstance(rule, Closed) for rule in area.area.rules)
