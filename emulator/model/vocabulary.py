"""What the dialects add to the vocabulary: their policies and their own sections, by name."""

from __future__ import annotations

import msgspec


class Vocabulary(msgspec.Struct, frozen=True):
    """Types by dialect name: of ``dialects.NAME`` (policy) and of the top-level ``NAME:`` section.

    ``default`` names the dialects of a machine that chooses none (contract 9.4).
    """

    policies: dict[str, type[msgspec.Struct]]
    sections: dict[str, type[msgspec.Struct]]
    default: tuple[str, ...]
