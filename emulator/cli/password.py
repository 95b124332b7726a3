"""``imds-emulator password``: shows the ciphertext that a guest posted (contract 1.4)."""

from __future__ import annotations

import argparse
import os
import sys

from emulator.cli.source import open_source
from emulator.errors import StartError
from emulator.runtime.state import State, default_directory, password_name


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("instances", metavar="PATH", help="a description, or a folder of them")
    parser.add_argument("--vm", default="", metavar="NAME", help="which one of several")
    parser.add_argument("--state", default="", metavar="DIR", help="as for serve")


def run(options: argparse.Namespace) -> int:
    """Print ``NAME CIPHERTEXT`` for every machine that posted one; 1 if none did."""
    state = State(options.state or default_directory(os.environ))
    source = open_source(options.instances)
    posted = False
    for instance in source.load():
        try:
            ciphertext = state.load(password_name(instance.uuid))
        except OSError as error:
            raise StartError(f"cannot read the state: {error}") from error
        if ciphertext and options.vm in {"", instance.name}:
            posted = True
            print(instance.name, ciphertext.decode("ascii", "backslashreplace"))
    if not posted:
        print(f"no password was posted (looked in {state.path('instances')})", file=sys.stderr)
    return 0 if posted else 1
