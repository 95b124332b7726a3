"""Directories derived from leaves, so that a listing can never show what does not exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from emulator.core.message import TEXT


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How the directories below ``root`` (itself included) are listed.

    ``area`` governs the listings. ``sort`` orders entries by name, else they keep the order of
    the leaves. ``slash`` ends child directories with one, but not in directories whose path is in
    ``bare``. In directories named in ``labelled`` a child directory that has a label reads
    ``key=label``. ``final_newline`` ends the body.
    """

    root: str
    area: str
    type: str = TEXT
    sort: bool = True
    slash: bool = True
    bare: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()
    final_newline: bool = False


class Node(msgspec.Struct, frozen=True):
    """A leaf's place in a tree: its path, whether listings show it, labels of its directories.

    ``labels`` gives, for a directory above it (full path), the text after ``=``. Directories in
    ``hidden`` are listings like others, but the directory above does not show them.
    """

    path: str
    listed: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()


def directories(nodes: Iterable[Node], listing: Listing) -> Iterator[tuple[str, bytes]]:
    """Give path and listing of every directory at or below ``listing.root`` that has entries."""
    children: dict[str, dict[str, bool]] = {}
    labels: dict[str, str] = {}
    for node in nodes:
        if node.listed:
            labels.update(node.labels)
            _enter(children, node, listing.root)
    for directory, entries in children.items():
        yield directory, _text(directory, entries, labels, listing).encode()


def _enter(children: dict[str, dict[str, bool]], node: Node, root: str) -> None:
    """Enter ``node`` and the directories above it, up to ``root``, into their parents."""
    path, is_directory = node.path, False
    prefix = root.rstrip("/") + "/"
    while path.startswith(prefix) and path != prefix and path not in node.hidden:
        parent, _, name = path.rpartition("/")
        entries = children.setdefault(parent or "/", {})
        entries[name] = entries.get(name, False) or is_directory
        path, is_directory = parent, True


def _text(
    directory: str, entries: dict[str, bool], labels: dict[str, str], listing: Listing
) -> str:
    base = directory.rstrip("/")
    labelled = base.rpartition("/")[2] in listing.labelled
    slash = listing.slash and directory not in listing.bare
    lines = []
    for name in sorted(entries) if listing.sort else entries:
        label = labels.get(f"{base}/{name}") if labelled else None
        if label is not None:
            lines.append(f"{name}={label}")
        else:
            lines.append(f"{name}/" if entries[name] and slash else name)
    return "\n".join(lines) + ("\n" if listing.final_newline else "")
