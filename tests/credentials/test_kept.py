"""``emulator.credentials.kept``: what was not asked for longest is forgotten."""

from __future__ import annotations

from emulator.credentials.kept import Kept


def test_the_longest_unused_goes() -> None:
    kept: Kept[str, list[int]] = Kept(2)
    made: list[int] = []

    def make() -> list[int]:
        made.append(len(made))
        return made

    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get(key, make)
    assert made == [0, 1, 2, 3]
