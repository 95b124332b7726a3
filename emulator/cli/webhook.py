"""``imds-emulator webhook``: answers a cluster's API server."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from emulator import __version__
from emulator.errors import ConfigError, Problem
from emulator.ports import SYSTEM
from emulator.runtime.sockets import Endpoint, parse
from emulator.server import log
from emulator.webhook import settings
from emulator.webhook.handlers import Service
from emulator.webhook.journal import Journal
from emulator.webhook.server import Webhook
from emulator.webhook.tls import Certificate

_LISTEN = "0.0.0.0:8443"
# Decisions are worth knowing to whoever wants to know what is going on.
_TELLING = ("debug", "info")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--settings", required=True, metavar="FILE", help="what every sidecar is made of, YAML"
    )
    parser.add_argument(
        "--cert",
        required=True,
        metavar="FILE",
        help="TLS certificate, PEM; taken anew when it changes",
    )
    parser.add_argument("--key", required=True, metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--listen", default=_LISTEN, metavar="WHERE", help=f"HOST:PORT (default {_LISTEN})"
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=log.LEVELS,
        help="decisions are logged at info, one JSON line each",
    )


def run(options: argparse.Namespace) -> int:
    """Answer until told to stop."""
    log.configure(options.log_level)
    service = Service(
        settings.read(_text(options.settings), options.settings),
        Certificate(options.cert, options.key),
        Journal(quiet=options.log_level not in _TELLING),
        SYSTEM,
    )
    asyncio.run(_serve(service, parse(options.listen, "--listen")))
    return 0


async def _serve(service: Service, endpoint: Endpoint) -> None:
    await Webhook(service).run(endpoint, os.environ, _announce)


def _announce(endpoint: Endpoint) -> None:
    said = f"imds-emulator {__version__} webhook\nlistening on {endpoint}"
    print(said, file=sys.stderr, flush=True)


def _text(path: str) -> str:
    try:
        return SYSTEM.read(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8"
        problem = Problem("command line", 0, "--settings", f"{path}: {why}", "a YAML file")
        raise ConfigError(problem) from error
