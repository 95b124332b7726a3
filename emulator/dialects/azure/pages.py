"""The document about the instance, whole or in parts (contract 5.1, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from emulator.core.message import HeaderLines, Outcome, Reply
from emulator.core.pages import Pages
from emulator.core.refusal import Refusal
from emulator.dialects.azure.errors import JSON, TEXT, error
from emulator.dialects.azure.names import EXTENDED, INSTANCE
from emulator.dialects.azure.query import versioned

_EXTENDED = "extended"
_NOT_JSON = error("Bad request. A value is given with format=text only")
_BAD_FORMAT = error("Bad request. format is json or text")


class AzurePages(Pages):
    """Azure's document; the part ``extended`` is for who asks for it."""

    tag_header = ""

    def __init__(self, root: str, tree: object, common: HeaderLines) -> None:
        """Serve ``tree`` at ``root``, without the extended part, and with it to who asks."""
        super().__init__(root, tree, common)
        assert isinstance(tree, Mapping)  # noqa: S101 - its template gives one
        self._plain = {key: value for key, value in tree.items() if key != _EXTENDED}

    def asked(self, path: str, query: str) -> Outcome:
        """Answer for ``path`` in the form that ``query`` says."""
        asked = versioned(query)
        if isinstance(asked, Reply):
            return asked
        form = asked.get("format", "").lower() or "json"
        if form not in {"json", "text"}:
            return _BAD_FORMAT
        extended = asked.get("extended", "").lower() == "true"
        if not extended and f"{path}/".startswith(f"{EXTENDED}/"):
            return Refusal.NOT_FOUND
        if extended and path == INSTANCE:
            form = f"{form} {_EXTENDED}"
        made = self._made.get((path, form))
        if made is not None:
            return made.answer
        if form == "json" and not isinstance(self.node(path), Mapping | list):
            return _NOT_JSON
        return self.page(path, form).answer

    def form(self, path: str, node: object, form: str) -> Reply:
        """Make ``json`` or ``text`` of the part at ``path``."""
        if path == INSTANCE and not form.endswith(_EXTENDED):
            node = self._plain
        if form.startswith("json"):
            return Reply(200, msgspec.json.encode(_shown(node)), JSON)
        if isinstance(node, Mapping | list):
            lines = (
                f"{key}/" if isinstance(value, Mapping | list) else key
                for key, value in self.below(path, node)
            )
            return Reply(200, "\n".join(lines).encode(), TEXT)
        text = str(node).lower() if isinstance(node, bool) else str(node)
        return Reply(200, text.encode(), TEXT)


def _shown(node: object) -> object:
    """Leave out what is absent at the top."""
    if isinstance(node, Mapping):
        return {key: value for key, value in node.items() if value is not None}
    return node
