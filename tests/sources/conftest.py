"""A vocabulary without dialects' own fields, for what is about files."""

from __future__ import annotations

import msgspec
import pytest

from emulator.model.vocabulary import Vocabulary


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect's own section."""

    account: str = ""


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(
        policies={"alpha": Plain, "beta": Plain}, sections={"beta": Section}, default=("alpha",)
    )
