"""``imds-emulator render``: shows what a guest would see, without a server."""

from __future__ import annotations

import argparse
import sys

from emulator.cli import USAGE_ERROR
from emulator.cli.source import open_source
from emulator.core.message import Answer
from emulator.core.paths import normalise
from emulator.core.snapshot import Snapshot
from emulator.model.instance import Instance
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("instances", metavar="FILE", help="a description, or a folder of them")
    parser.add_argument("path", nargs="?", metavar="PATH", help="print this document's bytes")
    parser.add_argument("--vm", default="", metavar="NAME", help="which one of several")
    parser.add_argument("--templates", default="", metavar="DIR", help="as for serve")


def run(options: argparse.Namespace) -> int:
    """List every path with its size and type, or print one document as it is."""
    source = open_source(options.instances)
    instance = _chosen(source.load(), options.vm)
    if instance is None:
        return USAGE_ERROR
    snapshot = Renderer(Templates(options.templates), SYSTEM).snapshot(instance)
    if options.path is None:
        print("\n".join(_lines(snapshot)))
        return 0
    return _print(snapshot, normalise(options.path))


def _chosen(instances: list[Instance], name: str) -> Instance | None:
    found = [instance for instance in instances if name in {"", instance.name}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(instance.name for instance in instances)
    print(f"--vm: choose one of {names}", file=sys.stderr)
    return None


def _lines(snapshot: Snapshot) -> list[str]:
    lines = []
    for path, slot in sorted(snapshot.layout.slots.items()):
        area, answer = snapshot.layout.areas[slot], snapshot.answers[slot]
        size = str(len(answer.body)) if isinstance(answer, Answer) else "fresh"
        lines.append(f"{size:>8}  {area.dialect:<10} {path}")
    return lines


def _print(snapshot: Snapshot, path: str) -> int:
    slot = snapshot.layout.slots.get(path)
    if slot is None:
        print(f"no such path: {path}; without a path, render lists them all", file=sys.stderr)
        return 1
    answer = snapshot.answers[slot]
    if not isinstance(answer, Answer):
        print(f"{path} is computed for each request; ask a running server", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(answer.body)
    return 0
