"""Keeps the last descriptions that could be served, for a restart on broken ones."""

from __future__ import annotations

import hashlib

import msgspec

from emulator.model.instance import Instance
from emulator.model.vocabulary import Vocabulary
from emulator.runtime.state import State


class LastGood:
    """The last good descriptions of one source."""

    def __init__(self, state: State, source: str, vocabulary: Vocabulary) -> None:
        """Keep them in ``state``, apart for each ``source`` (its path)."""
        digest = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._name = f"last-good/{digest}.json"
        self._state = state
        self._vocabulary = vocabulary

    def save(self, instances: list[Instance]) -> None:
        """Keep ``instances``; raise ``OSError``."""
        self._state.save(self._name, msgspec.json.encode(instances))

    def load(self) -> list[Instance] | None:
        """Give what was kept, None if nothing was or it cannot be read (any more)."""
        try:
            data = self._state.load(self._name) or b""
            kept = msgspec.json.decode(data, type=list[dict[str, object]])
            return [self._instance(fields) for fields in kept]
        except (OSError, msgspec.DecodeError, KeyError):
            return None

    def _instance(self, kept: dict[str, object]) -> Instance:
        dialects = self._typed(kept.pop("dialects"), self._vocabulary.policies)
        sections = self._typed(kept.pop("sections"), self._vocabulary.sections)
        instance = msgspec.convert(kept, Instance)
        return msgspec.structs.replace(instance, dialects=dialects, sections=sections)

    def _typed(
        self, kept: object, types: dict[str, type[msgspec.Struct]]
    ) -> dict[str, msgspec.Struct]:
        fields = msgspec.convert(kept, dict[str, object])
        return {name: msgspec.convert(value, types[name]) for name, value in fields.items()}
