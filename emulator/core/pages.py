"""A JSON document whose every part has a path of its own, answered in several forms."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from emulator.core.message import Answer, HeaderLines, Outcome, Reply, Request, Services, build


class Page(msgspec.Struct, frozen=True):
    """One form of a part, and the tag that all with equal bytes share."""

    answer: Answer
    tag: str


class Pages(ABC):
    """The parts of ``tree`` below ``root``; a dialect says which forms there are, and of what.

    An object or a list is a directory, each of its members a path below; ``null`` is absent. A
    form of a part is made when it is first asked for, and kept: most are never asked for. Its tag
    is in the header ``tag_header``, if that has a name.
    """

    tag_header = "ETag"

    def __init__(self, root: str, tree: object, common: HeaderLines) -> None:
        """Serve ``tree`` at ``root``; ``common`` headers are on every answer."""
        self._root = root
        self._tree = tree
        self._common = common
        self._made: dict[tuple[str, str], Page] = {}

    def __call__(self, request: Request, _services: Services) -> Outcome:
        """Answer for the path and query of ``request``."""
        return self.asked(request.path, request.query)

    @abstractmethod
    def asked(self, path: str, query: str) -> Outcome:
        """Answer for ``path``, which is one of ``paths``, as ``query`` wants it."""

    @abstractmethod
    def form(self, path: str, node: object, form: str) -> Reply:
        """Make one form of the part ``node`` at ``path``."""

    def below(self, name: str, node: object) -> Iterator[tuple[str, object]]:
        """Give name and value of the parts of ``node``, which is called ``name`` itself."""
        del name
        if isinstance(node, Mapping):
            yield from ((key, value) for key, value in node.items() if value is not None)
        elif isinstance(node, list):
            yield from ((str(index), value) for index, value in enumerate(node))

    def paths(self) -> Iterator[str]:
        """Give the path of every part."""
        yield from self._paths(self._root, self._tree)

    def page(self, path: str, form: str) -> Page:
        """Give ``form`` of the part at ``path``."""
        page = self._made.get((path, form))
        if page is None:
            reply = self.form(path, self.node(path), form)
            named = tag(reply.body)
            if self.tag_header:
                headers = (*reply.headers, (self.tag_header, named))
                reply = replace(reply, headers=headers)
            page = self._made[path, form] = Page(build(reply, self._common), named)
        return page

    def _paths(self, path: str, node: object) -> Iterator[str]:
        yield path
        for name, value in self.below(path.rpartition("/")[2], node):
            yield from self._paths(f"{path}/{name}", value)

    def node(self, path: str) -> object:
        """Give the part at ``path``, which is one of ``paths``."""
        node, name = self._tree, self._root.rpartition("/")[2]
        for part in path[len(self._root) + 1 :].split("/") if path != self._root else ():
            node = next(value for key, value in self.below(name, node) if key == part)
            name = part
        return node


def tag(body: bytes) -> str:
    """Give the tag of ``body``: 16 hex digits, equal for equal bytes."""
    return hashlib.blake2b(body, digest_size=8).hexdigest()
