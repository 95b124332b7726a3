"""``imds-emulator trust``: prints the certificate that verifies identity documents."""

from __future__ import annotations

import argparse
import os
import sys

from emulator.ports import SYSTEM
from emulator.runtime.state import State, default_directory
from emulator.signing import Signer


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--state", default="", metavar="DIR", help="as for serve")
    parser.add_argument("--identity-cert", default="", metavar="FILE", help="as for serve")
    parser.add_argument("--identity-key", default="", metavar="FILE", help="as for serve")


def run(options: argparse.Namespace) -> int:
    """Print it as PEM; where there is none yet, it is made with its key and kept."""
    state = State(options.state or default_directory(os.environ))
    signer = Signer(SYSTEM, state, options.identity_cert, options.identity_key)
    sys.stdout.write(signer.certificate().decode())
    return 0
