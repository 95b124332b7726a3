"""One description as it was read: an instance or problems, and what it depended on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from emulator.errors import ConfigError, Problem
from emulator.model.build import Built
from emulator.model.document import Node, quoted
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.sources.files import Files, State, state


class Mark(msgspec.Struct, frozen=True):
    """A value that no other instance may have: which, and where it stands."""

    what: str
    allowed: str
    file: str
    line: int
    field: str


class Entry(msgspec.Struct, frozen=True):
    """What one file (or one pod's folder) came to; ``seen`` is the state of all that was read."""

    seen: Mapping[str, State]
    instance: Instance | None = None
    marks: tuple[Mark, ...] = ()
    problems: tuple[Problem, ...] = ()

    def current(self) -> bool:
        """Say whether everything that was read is still as it was."""
        return all(state(path) == seen for path, seen in self.seen.items())


def read_entry(read: Callable[[Files], Built], ports: Ports) -> Entry:
    """Run ``read`` and keep what it gives or refuses, with everything it looked at."""
    files = Files(ports)
    try:
        built = read(files)
    except ConfigError as error:
        return Entry(files.seen, problems=error.problems)
    return Entry(files.seen, built.instance, tuple(_marks(built)))


def duplicates(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Give a problem for each mark that an earlier instance has; it names both places."""
    first: dict[str, Mark] = {}
    for entry in entries:
        told: set[str] = set()
        for mark in entry.marks:
            before = first.setdefault(mark.what, mark)
            # A name twice makes a derived UUID twice: one mistake.
            if before is not mark and mark.field not in told:
                told.add(mark.field)
                found = f"{mark.what} again (first in {before.file}:{before.line})"
                yield Problem(mark.file, mark.line, mark.field, found, mark.allowed)


def _marks(built: Built) -> Iterator[Mark]:
    """Give what tells the instance from others.

    A derived UUID counts as much as a written one: anyone can work it out and write it.
    """
    instance, places = built.instance, built.places
    name = f"{quoted(instance.name)} in namespace {quoted(instance.namespace)}"
    yield _mark(f"the machine {name}", "each name once in a namespace", places, "name")
    where = "uuid" if "uuid" in places else "name"
    yield _mark(f"the UUID {instance.uuid}", "each UUID once", places, where)
    if instance.peer.socket:
        socket = f"the socket {instance.peer.socket}"
        yield _mark(socket, "each socket once", places, "peer.socket")
    field = "peer.addresses" if "peer.addresses" in places else "interfaces"
    for address in instance.peer.addresses:
        allowed = "each address at one machine (or peer.addresses or peer.socket to tell them)"
        yield _mark(f"the address {address}", allowed, places, field)


def _mark(what: str, allowed: str, places: Mapping[str, Node], path: str) -> Mark:
    node = places.get(path) or places[""]
    return Mark(what, allowed, node.file, node.line, node.field)
