"""What a guest asks of Google's tree beside a path (contract 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import urlencode

import msgspec

from emulator.core.paths import parameters

Form = Literal["text", "json", "recursive", "recursive-text"]

_ALTS = frozenset({"", "json", "text"})
# Digits of the longest wait, more than thirty years.
_DIGITS = 9


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that are known; of one that is repeated the first counts.

    ``timeout`` is seconds, None for as long as it takes.
    """

    recursive: bool = False
    alt: str = ""
    wait: bool = False
    last_etag: str = ""
    timeout: int | None = None

    @classmethod
    @lru_cache(maxsize=64)  # those who wait are all looked at, with the same few, at each change
    def parse(cls, query: str) -> Query | None:
        """Read a query; None if it has a value that is not allowed.

        Names are taken as they are, the values of switches in any case: cloud-init says ``True``.
        """
        if not query:
            return _PLAIN
        found: dict[str, str] = {}
        for name, value in parameters(query):
            found.setdefault(name, value)
        alt, seconds = found.get("alt", "").lower(), found.get("timeout_sec")
        if alt not in _ALTS or (seconds is not None and not _is_whole(seconds)):
            return None
        return cls(
            recursive=_is_on(found, "recursive"),
            alt=alt,
            wait=_is_on(found, "wait_for_change"),
            last_etag=found.get("last_etag", ""),
            timeout=None if seconds is None else int(seconds),
        )

    @property
    def form(self) -> Form:
        """The form in which the answer is wanted."""
        if self.recursive:
            return "recursive-text" if self.alt == "text" else "recursive"
        return "json" if self.alt == "json" else "text"

    def text(self) -> str:
        """Give the query that reads as this one."""
        fields = {
            "recursive": "true" if self.recursive else "",
            "alt": self.alt,
            "wait_for_change": "true" if self.wait else "",
            "last_etag": self.last_etag,
            "timeout_sec": "" if self.timeout is None else str(self.timeout),
        }
        return urlencode({name: value for name, value in fields.items() if value})


_PLAIN = Query()


def _is_on(found: Mapping[str, str], name: str) -> bool:
    return found.get(name, "").lower() == "true"


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
