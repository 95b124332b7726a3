"""A small vocabulary of the tests' own, and descriptions read with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from emulator.errors import ConfigError
from emulator.model.build import build
from emulator.model.decode import Outside
from emulator.model.document import Unfit
from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.sources.compose import compose


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """One field of each type that a policy may have."""

    mode: Literal["open", "closed"] = "open"
    rate: Annotated[float, Meta(description="Requests a second.")] = 1.0
    limit: Annotated[int, Meta(ge=1)] = 5
    exact: int = 0
    on: bool = False
    names: tuple[str, ...] = ()
    pairs: Annotated[tuple[str, ...], Meta(min_length=1)] = ("a",)
    free: Any = None
    word: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"
    code: Annotated[str, Meta(min_length=2)] = "ab"
    most: Annotated[int, Meta(le=9)] = 0
    table: Annotated[dict[str, int], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: {"a": 1}
    )
    inner: Plain | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect's own section, with a nested struct."""

    account: Annotated[str, Meta(max_length=12, description="Account id.")] = ""
    choices: Choices = Choices()


class Needy(msgspec.Struct, frozen=True, kw_only=True):
    """A section that cannot be empty."""

    key: str | None


VOCABULARY = Vocabulary(
    policies={"alpha": Plain, "beta": Choices, "needy": Plain},
    sections={"beta": Section, "needy": Needy},
    default=("alpha", "beta"),
)


def read(path: str, _limit: int) -> bytes:
    if path == "there":
        return b"\x00bytes"
    raise Unfit(f'"{path}", no such file', "a file")


def load(text: str) -> Instance:
    outside = Outside(read=read, locate=lambda path: f"/base/{path}")
    return build(compose(text, "vm.yaml"), VOCABULARY, outside).instance


@pytest.fixture
def vocabulary() -> Vocabulary:
    return VOCABULARY


@pytest.fixture
def loaded() -> Callable[[str], Instance]:
    """Read a description."""
    return load


@pytest.fixture
def problems() -> Callable[[str], list[str]]:
    """Read a description and give its problems as they would be printed."""

    def found(text: str) -> list[str]:
        with pytest.raises(ConfigError) as error:
            load(text)
        assert str(error.value) == "\n".join(map(str, error.value.problems))
        return [str(problem) for problem in error.value.problems]

    return found
