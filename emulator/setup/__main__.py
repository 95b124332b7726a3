"""Run ``python3 -m emulator.setup``; ``--help`` tells the commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.setup import apt, checks, gaps, packages
from emulator.setup.errors import SetupError
from emulator.setup.venv import Environment

ROOT = Path(__file__).resolve().parents[2]
CANNOT_CONTINUE, INTERRUPTED = 3, 130
DEMO = ("boot", "debian-12")
EXIT_CODES = f"""\
exit codes: 0 all is well; {checks.FAILED} something failed; {CANNOT_CONTINUE} something must be
installed first, by the line that is printed; {checks.INCOMPLETE} all that ran passed, but this
user or machine cannot run everything: what and why is listed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python3 -m emulator.setup",
        description="Set up a checkout, and use it.",
        epilog=EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="install what is needed, then boot a stock image")
    commands.add_parser(
        "test", help="install what is needed, then run every check; more arguments go to pytest"
    )
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command == "demo":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if sys.version_info < (3, 11):  # noqa: UP036 - not installed yet, so nothing else has checked
        parser.exit(CANNOT_CONTINUE, "emulator.setup: Python 3.11 or newer is needed\n")
    try:
        return demo() if options.command == "demo" else run_tests(rest)
    except SetupError as error:
        print(f"emulator.setup: {error}", file=sys.stderr)
        return CANNOT_CONTINUE
    except KeyboardInterrupt:
        return INTERRUPTED


def demo() -> int:
    """Boot a stock image from the sample instance; this process becomes that command."""
    apt.install(packages.for_python() + apt.missing(packages.wanted(tests=False)))
    environment = Environment(ROOT)
    environment.ensure()
    program = environment.bin / "imds-emulator"
    sys.stdout.flush()
    os.execv(program, [str(program), *DEMO])  # noqa: S606 - no shell is wanted


def run_tests(arguments: Sequence[str]) -> int:
    """Run every check that this user on this machine can run."""
    # A shell has what it starts in the background ignore Ctrl-C, and so would all that is tested.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lacking = apt.missing(packages.wanted(tests=True))
    for_python = packages.for_python()
    if for_python or apt.privilege() is not None:  # without a Python environment nothing runs
        apt.install(for_python + lacking)
        lacking = []
    environment = Environment(ROOT)
    environment.ensure("dev")
    found = (
        gaps.from_packages(lacking),
        gaps.from_namespaces(gaps.namespaces_refused_by()),
    )
    return checks.run(environment, [gap for gap in found if gap], arguments)


if __name__ == "__main__":
    sys.exit(main())
