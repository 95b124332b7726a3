"""``imds-emulator sidecar``: serves the guest of the pod that it runs in."""

from __future__ import annotations

import argparse

from emulator.dialects import DOORS
from emulator.errors import ConfigError, Problem
from emulator.ports import SYSTEM
from emulator.server import log
from emulator.sidecar.config import PLUMBING, SidecarConfig
from emulator.sidecar.run import run as become_server

_DEFAULTS = SidecarConfig()


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; their meaning and reasons stand in ``sidecar.config``."""
    parser.add_argument(
        "--podinfo", required=True, metavar="DIR", help="the pod's downward-API folder"
    )
    parser.add_argument("--state", default="", metavar="DIR", help="where passwords live")
    parser.add_argument(
        "--templates", default="", metavar="DIR", help="templates that replace or add documents"
    )
    parser.add_argument(
        "--plumbing",
        default=_DEFAULTS.plumbing,
        choices=PLUMBING,
        help="lay the way from the machine's bridge (default), or none: a network plugin did",
    )
    parser.add_argument(
        "--bridge", default="", metavar="NAME", help="the bridge to wait for (default: KubeVirt's)"
    )
    parser.add_argument(
        "--door",
        action="append",
        default=[],
        choices=sorted(DOORS),
        help="serve what a dialect has at an address of its own, too; repeatable",
    )
    parser.add_argument(
        "--user",
        type=int,
        default=_DEFAULTS.user,
        metavar="UID",
        help=f"what the server runs as, user and group (default {_DEFAULTS.user})",
    )
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="WHERE",
        help="HOST:PORT, unix:PATH or fd:N, only with --plumbing none; repeatable "
        "(default: port 80 of the metadata addresses that the pod has)",
    )
    parser.add_argument(
        "--operator",
        default="",
        metavar="WHERE",
        help="HOST:PORT, unix:PATH or off (default: the socket operator in --state)",
    )
    parser.add_argument(
        "--audit",
        default=_DEFAULTS.audit,
        metavar="WHERE",
        help="one JSON line for each request, to FILE, - for standard output (default), "
        "syslog:PATH or off",
    )
    parser.add_argument("--log-level", default=_DEFAULTS.log_level, choices=log.LEVELS)


def run(options: argparse.Namespace) -> int:
    """Wait, plumb, and become the server."""
    if options.listen and options.plumbing != "none":
        found = f"--plumbing {options.plumbing}"
        allowed = "--listen with --plumbing none; otherwise the addresses are the plumbing's"
        raise ConfigError(Problem("command line", 0, "--listen", found, allowed))
    log.configure(options.log_level)
    config = SidecarConfig(
        podinfo=options.podinfo,
        state=options.state,
        templates=options.templates,
        plumbing=options.plumbing,
        bridge=options.bridge,
        doors=tuple((name, DOORS[name]) for name in dict.fromkeys(options.door)),
        user=options.user,
        listen=tuple(options.listen),
        operator=options.operator,
        audit=options.audit,
        log_level=options.log_level,
    )
    become_server(config, SYSTEM)
