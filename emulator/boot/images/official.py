"""The official images that have a name here, read from the data file beside this module."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec


class Official(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a publisher keeps an image and the list of its checksums."""

    url: str
    sums: str
    algorithm: Literal["sha256", "sha512"]


@cache
def official() -> dict[str, Official]:
    """Give every official image by name."""
    text = files(__package__).joinpath("official.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Official])
