"""``imds-emulator check``: names every mistake in descriptions without serving them."""

from __future__ import annotations

import argparse
import sys

from emulator.cli import USAGE_ERROR
from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError, Problem
from emulator.model.instance import Instance
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates
from emulator.sources import load, load_podinfo


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="a description, or a folder of them"
    )
    parser.add_argument(
        "--podinfo",
        action="append",
        default=[],
        metavar="DIR",
        help="a pod's downward-API folder; repeatable",
    )
    parser.add_argument("--templates", default="", metavar="DIR", help="as for serve")


def run(options: argparse.Namespace) -> int:
    """Print each problem and their number; give 0 if there is none, else 2."""
    if not options.paths and not options.podinfo:
        print("check: give at least one PATH or --podinfo DIR", file=sys.stderr)
        return USAGE_ERROR
    problems: list[Problem] = []
    instances: list[Instance] = []
    for read, paths in ((load, options.paths), (load_podinfo, options.podinfo)):
        for path in paths:
            try:
                instances += read(path, VOCABULARY, SYSTEM)
            except ConfigError as error:
                problems += error.problems
    problems += _unrenderable(instances, options.templates)
    if problems:
        print(*dict.fromkeys(map(str, problems)), sep="\n", flush=True)
        print(_counted(len(problems), "problem"), file=sys.stderr)
        return USAGE_ERROR
    print(f"ok: {_counted(len(instances), 'instance')}")
    return 0


def _unrenderable(instances: list[Instance], templates: str) -> list[Problem]:
    """Give what is wrong with templates, the owner's and the operator's, for these instances."""
    problems: list[Problem] = []
    try:
        renderer = Renderer(Templates(templates), SYSTEM)
    except ConfigError as error:
        return list(error.problems)
    for instance in instances:
        try:
            renderer.snapshot(instance)
        except ConfigError as error:
            problems += error.problems
    return problems


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
