"""What the dialects add to the vocabulary: their policies and their own sections, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from emulator.model.instance import Instance
from emulator.model.mistake import Mistake

Rule = Callable[[Instance], Iterable[Mistake]]


class Vocabulary(msgspec.Struct, frozen=True):
    """Types by dialect name: of ``dialects.NAME`` (policy) and of the top-level ``NAME:`` section.

    ``default`` names the dialects of a machine that chooses none, ``personas`` those of one that
    is to look like a cloud (contract 9.4). ``rules`` find the mistakes in a machine that has the
    dialect.
    """

    policies: dict[str, type[msgspec.Struct]]
    sections: dict[str, type[msgspec.Struct]]
    default: tuple[str, ...]
    rules: dict[str, Rule] = {}
    personas: dict[str, tuple[str, ...]] = {}
