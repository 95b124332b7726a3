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


def test_what_is_found_was_asked_for() -> None:
    kept: Kept[str, str] = Kept(2)
    assert kept.find("a") is None
    kept.get("a", lambda: "first")
    kept.get("b", lambda: "second")
    assert kept.find("a") == "first"
    kept.get("c", lambda: "third")
    assert kept.find("b") is None
    assert (kept.find("a"), kept.find("c")) == ("first", "third")


def test_what_is_dropped_is_forgotten() -> None:
    kept: Kept[str, str] = Kept(2)
    kept.drop("a")
    kept.get("a", lambda: "first")
    kept.drop("a")
    assert kept.find("a") is None
    assert kept.get("a", lambda: "second") == "second"
