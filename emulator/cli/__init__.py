"""The command line: a table of commands, of which only the chosen one is imported."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from emulator import __version__
from emulator.errors import ConfigError, ImdsError

COMMANDS = {
    "serve": "serve metadata to guests",
    "boot": "boot a disk image under QEMU with metadata",
    "image": "build, fetch and list disk images",
    "render": "show what a guest would see",
    "check": "check descriptions and name every mistake",
    "schema": "print the JSON Schema of a description",
    "sidecar": "serve the guest of the pod that it runs in",
    "webhook": "complete and check annotated VMs for a Kubernetes API server",
    "report": "say who would be refused if IMDSv2 was required",
    "keys": "print the keys of a Kubernetes namespace as a Secret",
    "trust": "print the certificate that verifies identity documents",
    "password": "show the password ciphertext that a guest posted",
}

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit status: 0, 1 for a failure, 2 for wrong input."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="imds-emulator",
        description="The metadata service that any virtual machine boots from.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = given[0] if given else ""
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(f"emulator.cli.{name}")
            module.configure(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(given)
    try:
        status: int = options.run(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except ImdsError as error:
        print(f"imds-emulator {chosen}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    return status
