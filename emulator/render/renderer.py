"""Renders an instance through every dialect that it has into one snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from emulator.core.fresh import SEED_PLACEHOLDER, Seeded
from emulator.core.message import JSON, Answer, HeaderLines, Live, Reply, build
from emulator.core.pages import Pages
from emulator.core.policy import CompiledArea, Document
from emulator.core.snapshot import Compiler, Row, Snapshot
from emulator.core.timeline import Occurrence
from emulator.core.tree import Node, directories
from emulator.dialects import DIALECTS, switched_on
from emulator.dialects.base import Dialect, Leaf, Policy, View, anybody, content_type
from emulator.errors import ConfigError, Problem
from emulator.model.instance import Content, File, Instance
from emulator.ports import Ports
from emulator.render.joined import Joined
from emulator.render.sealed import Seal, Sealed, unsigned
from emulator.render.templates import Templates

Areas = dict[str, CompiledArea]
T = TypeVar("T")


class Parts:
    """What was rendered of one machine in one ``state``: its rows by dialect.

    ``instance`` is the machine with what its owner wanted expanded.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.state: object = None
        self.instance = Instance(name="none")
        self.rows: dict[str, list[Row]] = {}


class Renderer:
    """Makes snapshots; keeps what machines share."""

    def __init__(
        self,
        templates: Templates,
        ports: Ports,
        seal: Seal = unsigned,
        attests: Callable[[str], bool] = anybody,
    ) -> None:
        """Render with ``templates``; ``ports`` tells the date, ``seal`` signs what is asked for.

        ``attests`` says for which namespaces it may speak. Raises ``ConfigError``.
        """
        templates.check(DIALECTS)
        self._templates = templates
        self._ports = ports
        self._seal = seal
        self._attests = attests
        self._areas: dict[tuple[str, msgspec.Struct], Areas] = {}
        self._joined = Joined()
        known = frozenset(
            prefix
            for dialect in DIALECTS.values()
            for area in dialect.areas(dialect.policy())
            for prefix in area.prefixes
        )
        self._compiler = Compiler(known)

    def snapshot(
        self,
        instance: Instance,
        occurrences: tuple[Occurrence, ...] = (),
        written: Mapping[str, str] = MappingProxyType({}),
        parts: Parts | None = None,
    ) -> Snapshot:
        """Render all documents of ``instance`` as they are while its events are ``occurrences``.

        ``written`` is what its guest has said. With ``parts`` of the same machine, only dialects
        that show what it said are rendered anew while nothing else changes. Raises ``ConfigError``
        for what cannot be.
        """
        rows: list[Row] = []
        areas: list[CompiledArea] = []
        aliases: dict[str, str] = {}
        today = dt.datetime.fromtimestamp(self._ports.wall(), dt.UTC).date().isoformat()
        parts = parts or Parts()
        state = (self, today, occurrences)
        if parts.state != state:
            parts.instance = self._expanded(instance)
            parts.state, parts.rows = state, {}
        instance, made = parts.instance, parts.rows
        for dialect, policy in switched_on(instance):
            view = View(
                instance=instance,
                policy=policy,
                section=instance.sections.get(dialect.name),
                today=today,
                occurrences=occurrences,
                written=written,
                attests=self._attests,
            )
            compiled = self._compiled_areas(dialect, policy)
            if dialect.written or dialect.name not in made:
                made[dialect.name] = list(self._dialect(dialect, view, compiled).all())
            rows.extend(made[dialect.name])
            areas.extend(compiled.values())
            aliases.update(dialect.aliases)
        return self._compiler.compile(self._joined.together(rows), areas, aliases)

    def refusing(self, instance: Instance, path: str) -> CompiledArea:
        """Give the area of ``instance`` that refuses ``path`` where nothing can be rendered."""
        areas: list[CompiledArea] = []
        aliases: dict[str, str] = {}
        for dialect, policy in switched_on(instance):
            areas.extend(self._compiled_areas(dialect, policy).values())
            aliases.update(dialect.aliases)
        layout = self._compiler.compile((), areas, aliases).layout
        return layout.miss(layout.canonical(path))[0]

    def anyone(self) -> Snapshot:
        """Render what is served to whoever asks, known or not."""
        view = View(instance=Instance(name="anyone"), policy=Policy())
        rows: list[Row] = []
        areas: list[CompiledArea] = []
        for dialect in DIALECTS.values():
            if dialect.anyone:
                compiled = self._compiled_areas(dialect, view.policy)
                rows.extend(self._dialect(dialect, view, compiled).all())
                areas.extend(compiled.values())
        return self._compiler.compile(rows, areas)

    def _dialect(self, dialect: Dialect, view: View, areas: Areas) -> _DialectRows:
        date = formatdate(self._ports.wall(), usegmt=True) if dialect.dated else ""
        means = _Means(self._templates, self._seal, date)
        return _DialectRows(means, dialect, view, areas)

    def _compiled_areas(self, dialect: Dialect, policy: msgspec.Struct) -> Areas:
        key = (dialect.name, policy)
        if key not in self._areas:
            self._areas[key] = {
                area.name: CompiledArea(area, dialect.name) for area in dialect.areas(policy)
            }
        return self._areas[key]

    def _expanded(self, instance: Instance) -> Instance:
        """Expand the texts whose owner asked for it (``template: true``)."""
        user_data = self._expand(instance, "user_data", instance.user_data)
        vendor_data = self._expand(instance, "vendor_data", instance.vendor_data)
        files = tuple(self._expanded_file(instance, file) for file in instance.files)
        return replace(instance, user_data=user_data, vendor_data=vendor_data, files=files)

    def _expanded_file(self, instance: Instance, file: File) -> File:
        content = self._expand(instance, f"files {file.path}", file.content)
        return replace(file, content=content)

    def _expand(self, instance: Instance, field: str, content: Content | None) -> Content | None:
        if content is None or not content.template:
            return content
        variables: dict[str, object] = {"instance": instance}
        data = self._templates.expand(content, variables, f"{instance.name}: {field}")
        return Content(data=data)


class _Means(msgspec.Struct, frozen=True):
    """What documents are made with; ``date`` is what they say of their age, if anything."""

    templates: Templates
    seal: Seal
    date: str


class _DialectRows:
    """The rows of one dialect for one machine."""

    def __init__(self, means: _Means, dialect: Dialect, view: View, areas: Areas) -> None:
        self._templates = means.templates
        self._seal = means.seal
        self._dialect = dialect
        self._view = view
        self._areas = areas
        self._headers = (("Last-Modified", means.date),) if means.date else ()
        self._nodes: list[Node] = []

    def all(self) -> Iterator[Row]:
        """Give the documents, those the owner added, then the listings of both."""
        for leaf in self._dialect.leaves(self._view):
            yield from self._leaf(leaf)
        for name in self._templates.added(self._dialect.name):
            yield from self._leaf(
                Leaf(
                    paths=tuple(directory + name for directory in self._dialect.extra),
                    area=self._dialect.extra_area,
                    template=name,
                    type=content_type(name),
                )
            )
        for listing in self._dialect.listings:
            for path, body in directories(self._nodes, listing):
                reply = self._ok(body, listing.type)
                yield from self._rows([path], listing.area, reply, "listing")

    def _leaf(self, leaf: Leaf) -> Iterator[Row]:
        if leaf.tree:
            yield from self._tree(leaf)
            return
        if leaf.pages is not None:
            yield from self._pages(leaf, leaf.pages)
            return
        content = leaf.live or self._document(leaf)
        self._nodes += [Node(path, leaf.listed, hidden=leaf.hidden) for path in leaf.paths]
        rows = self._rows(leaf.paths, leaf.area, content, leaf.document)
        yield from (replace(row, joins=True) for row in rows) if leaf.joins else rows

    def _pages(
        self, leaf: Leaf, make: Callable[[str, object, HeaderLines], Pages]
    ) -> Iterator[Row]:
        """Give a row for each part of a document, in the area that its path belongs to."""
        tree = self._parsed(leaf.template, self._rendered(leaf), object)
        [root] = leaf.paths
        pages = make(root, tree, self._areas[leaf.area].common)
        prefixes = {prefix: area for area in self._areas.values() for prefix in area.prefixes}
        for path in pages.paths():
            inside = [p for p in prefixes if f"{path}/".startswith(f"{p}/")]
            area = prefixes[max(inside, key=len)]
            document = leaf.part(path[len(root) + 1 :]) or area.document
            yield Row(path, area, pages, document=document)

    def _document(self, leaf: Leaf) -> Reply | Live:
        if leaf.body is not None:
            return self._ok(leaf.body, leaf.type)
        body = self._rendered(leaf)
        if leaf.seal:
            return Sealed(self._seal, leaf.seal, self._ok(body, leaf.type))
        before, found, after = body.partition(SEED_PLACEHOLDER.encode())
        return Seeded(before, after, leaf.type) if found else self._ok(body, leaf.type)

    def _ok(self, body: bytes, content_type: str) -> Reply:
        return Reply(200, body, content_type, self._headers)

    def _rendered(self, leaf: Leaf) -> bytes:
        view = self._view
        variables = {
            "instance": view.instance,
            "policy": view.policy,
            "section": view.section,
            **leaf.variables,
        }
        body = self._templates.render(self._dialect.name, leaf.template, variables)
        if not leaf.type.startswith(JSON) and content_type(leaf.template) != JSON:
            return body
        compact = msgspec.json.encode(self._parsed(leaf.template, body, object))
        return compact + b"\n" if leaf.newline else compact

    def _parsed(self, template: str, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            place = f"templates/{self._dialect.name}/{template}.j2"
            found = f"output that is not the JSON it should be ({error})"
            problem = Problem(place, 0, self._view.instance.name, found, "JSON")
            raise ConfigError(problem) from error

    def _tree(self, leaf: Leaf) -> Iterator[Row]:
        tree = self._parsed(leaf.template, self._rendered(leaf), dict[str, object])
        for path, labels, value in _walk(tree, "", ()):
            for root in leaf.paths:
                marked = tuple((f"{root}{where}", label) for where, label in labels)
                self._nodes.append(Node(root + path, leaf.listed, marked, leaf.hidden))
            paths = [root + path for root in leaf.paths]
            content = self._ok(value.encode(), leaf.type)
            yield from self._rows(paths, leaf.area, content, leaf.part(path[1:]))

    def _rows(
        self,
        paths: Iterable[str],
        area: str,
        content: Reply | Live,
        document: Document | None,
    ) -> Iterator[Row]:
        """Give a row for each path; what they answer is built once."""
        compiled = self._areas[area]
        document = document or compiled.document
        answer: Answer | Live
        answer = build(content, compiled.common) if isinstance(content, Reply) else content
        return (Row(path, compiled, answer, document=document) for path in paths)


Labels = tuple[tuple[str, str], ...]


def _walk(tree: dict[str, object], path: str, labels: Labels) -> Iterator[tuple[str, Labels, str]]:
    """Give path, labels of the directories above it, and text of every leaf below ``path``.

    A directory's key ``0=name`` is the segment ``0`` with the label ``name``.
    """
    for key, value in tree.items():
        if isinstance(value, dict):
            name, labelled, label = key.partition("=")
            below = f"{path}/{name}"
            yield from _walk(value, below, (*labels, (below, label)) if labelled else labels)
        elif value is not None:
            yield f"{path}/{key}", labels, value if isinstance(value, str) else str(value)
