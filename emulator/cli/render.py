"""``imds-emulator render``: shows what a guest would see, without a server."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable
from http import HTTPStatus

from tornado.httputil import HTTPHeaders

from emulator.cli import USAGE_ERROR
from emulator.cli.source import open_source
from emulator.core.message import Answer, Done, Live, Outcome, Reply, Request, Wait
from emulator.core.pages import Pages
from emulator.core.snapshot import Snapshot
from emulator.dialects import split_at_door
from emulator.model.instance import Instance
from emulator.ports import SYSTEM
from emulator.render import Renderer, Templates
from emulator.runtime.session_key import SessionKey
from emulator.runtime.state import State, default_directory
from emulator.server.backing import backing
from emulator.server.machine import Machine
from emulator.signing import Signer
from emulator.tokens import Tokens


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("instances", metavar="FILE", help="a description, or a folder of them")
    parser.add_argument("path", nargs="?", metavar="PATH", help="print this document's bytes")
    parser.add_argument("--vm", default="", metavar="NAME", help="which one of several")
    parser.add_argument("--templates", default="", metavar="DIR", help="as for serve")
    parser.add_argument("--state", default="", metavar="DIR", help="as for serve")


def run(options: argparse.Namespace) -> int:
    """List every path with its size and dialect, or print one document as it is."""
    instance = _chosen(open_source(options.instances).load(), options.vm)
    if instance is None:
        return USAGE_ERROR
    state = State(options.state or default_directory(os.environ))
    key = SessionKey(SYSTEM, state)
    tokens = Tokens(SYSTEM, state)
    signer = Signer(SYSTEM, state)
    renderer = Renderer(Templates(options.templates), SYSTEM, signer.seal, signer.attests)
    shared = backing(SYSTEM, state, tokens, renderer, key, seal=signer.seal)
    machine = Machine(instance, shared)
    if options.path is None:
        print("\n".join(_lines(machine.asked())))
        return 0
    return _print(machine, options.path)


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
        lines.append(f"{_kind(answer):>8}  {area.dialect:<10} {path}")
    return lines


def _kind(answer: Answer | Live) -> str:
    """Say how long an answer is, or why that cannot be said."""
    if isinstance(answer, Answer):
        return str(len(answer.body))
    return "forms" if isinstance(answer, Pages) else "fresh"


def _print(machine: Machine, target: str) -> int:
    """Print the bytes of ``target``, whatever header a guest would need for it."""
    path, query = split_at_door(target)
    layout = machine.asked().layout
    slot = layout.slots.get(path, layout.slots.get(layout.canonical(path)))
    if slot is None:
        print(f"no such path: {path}; without a path, render lists them all", file=sys.stderr)
        return 1
    answer = machine.snapshot.answers[slot]
    if isinstance(answer, Answer):
        body = answer.body
    else:
        request = Request("GET", path, query, HTTPHeaders())
        outcome = asyncio.run(_computed(answer(request, machine)))
        if isinstance(outcome, Wait):
            # What is there now, as at the end of the wait.
            request = Request("GET", path, outcome.late, HTTPHeaders())
            outcome = asyncio.run(_computed(answer(request, machine)))
        if not isinstance(outcome, Reply | Answer):
            print(f"{path}: refused ({outcome})", file=sys.stderr)
            return 1
        body = outcome.body
        if outcome.status != HTTPStatus.OK:
            print(f"{path}: refused ({outcome.status}): {body.decode()}", file=sys.stderr)
            return 1
    sys.stdout.buffer.write(body)
    return 0


async def _computed(outcome: Outcome | Awaitable[Done]) -> Outcome:
    return await outcome if isinstance(outcome, Awaitable) else outcome
