"""The tree in the forms that Google gives it: texts, listings, JSON, recursive or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from emulator.core.message import JSON, Outcome, Reply, Wait
from emulator.core.pages import Pages
from emulator.core.refusal import Refusal
from emulator.dialects.gce.query import Query

TEXT = "application/text"

# Leaves that hold a list: lines as text, an array as JSON. Other lists are numbered directories.
_LISTS = frozenset({"aliases", "dns-servers", "ipv6s", "scopes", "tags"})
# Those of them that are an array as text too.
_ARRAYS = frozenset({"tags"})
# Below these the keys are somebody's own words, and stay as they are in JSON.
_OWN_WORDS = frozenset(
    {"attributes", "guest-attributes", "partner-attributes", "service-accounts"}
)


class GcePages(Pages):
    """Google's tree (contract 4.2, 4.3).

    A leaf that is ``true`` is computed when it is asked for: listings show it, nothing else does.
    """

    def asked(self, path: str, query: str) -> Outcome:
        """Answer for ``path``; one that waits for a change is answered once there is one."""
        asked = Query.parse(query)
        if asked is None:
            return Refusal.BAD_QUERY
        page = self.page(path, asked.form)
        if not asked.wait or asked.last_etag not in {"", page.tag}:
            return page.answer
        return Wait(
            again=msgspec.structs.replace(asked, last_etag=page.tag).text(),
            late=msgspec.structs.replace(asked, wait=False).text(),
            seconds=asked.timeout,
        )

    def form(self, path: str, node: object, form: str) -> Reply:
        """Make ``text``, ``json``, ``recursive`` or ``recursive-text`` of the part at ``path``."""
        name = path.rpartition("/")[2]
        if form == "recursive" or (form == "json" and not _is_directory(name, node)):
            own = any(part in _OWN_WORDS for part in path.split("/"))
            return Reply(200, msgspec.json.encode(self._value(name, node, own=own)), JSON)
        if not _is_directory(name, node):
            kind = JSON if _is_array(name, node) else TEXT
            return Reply(200, _text(name, node).encode(), kind)
        if form == "recursive-text":
            lines = [f"{where} {text}" for where, text in self._leaves(name, node, "")]
        else:
            lines = [
                f"{key}/" if _is_directory(key, value) else key
                for key, value in self.below(name, node)
            ]
            if form == "json":
                return Reply(200, msgspec.json.encode(lines), JSON)
        return Reply(200, "".join(f"{line}\n" for line in lines).encode(), TEXT)

    def below(self, name: str, node: object) -> Iterator[tuple[str, object]]:
        """Give the parts of ``node``, none for a leaf that holds a list."""
        if _is_directory(name, node):
            yield from super().below(name, node)

    def _value(self, name: str, node: object, *, own: bool) -> object:
        """Give the JSON of ``node``; keys below it are somebody's ``own``, or Google's."""
        if not _is_directory(name, node):
            return node
        own = own or name in _OWN_WORDS
        found = {
            key if own else _camel(key): self._value(key, value, own=own)
            for key, value in self.below(name, node)
            if value is not True
        }
        return list(found.values()) if isinstance(node, list) else found

    def _leaves(self, name: str, node: object, path: str) -> Iterator[tuple[str, str]]:
        """Give path and text of each leaf below ``node``, which is at ``path``."""
        if not _is_directory(name, node):
            yield path, _text(name, node)
            return
        for key, value in self.below(name, node):
            if value is not True:
                yield from self._leaves(key, value, f"{path}/{key}" if path else key)


def _is_directory(name: str, node: object) -> bool:
    return isinstance(node, dict) or (isinstance(node, list) and name not in _LISTS)


def _is_array(name: str, node: object) -> bool:
    # Not by its name alone: an attribute may have that too.
    return isinstance(node, list) and name in _ARRAYS


def _text(name: str, node: object) -> str:
    if _is_array(name, node):
        return msgspec.json.encode(node).decode()
    return "\n".join(node) if isinstance(node, list) else str(node)


def _camel(key: str) -> str:
    """Give ``network-interfaces`` as ``networkInterfaces``."""
    return re.sub("-+([^-])", lambda found: found[1].upper(), key)
