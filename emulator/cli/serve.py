"""``imds-emulator serve``: answers guests."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys

from emulator import __version__
from emulator.cli.source import open_source
from emulator.dialects import DOORS, switched_on
from emulator.dialects.base import required
from emulator.model.config import DEFAULT_LISTEN, Limits, ServeConfig
from emulator.ports import SYSTEM
from emulator.server import log
from emulator.server.app import Server
from emulator.server.machine import Machine
from emulator.sources import Source

_DEFAULTS = ServeConfig()
_NAMED = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; their meaning and reasons stand in ``model.config``."""
    parser.add_argument(
        "instances",
        nargs="?",
        default="",
        metavar="PATH",
        help="a description, or a folder of them (default: a built-in sample)",
    )
    parser.add_argument("--podinfo", default="", metavar="DIR", help="a pod's downward-API folder")
    parser.add_argument(
        "--templates", default="", metavar="DIR", help="templates that replace or add documents"
    )
    parser.add_argument(
        "--listen",
        action="append",
        metavar="WHERE",
        default=[],
        help=f"HOST:PORT, unix:PATH or fd:N; repeatable (default {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--door",
        action="append",
        metavar="NAME=WHERE",
        default=[],
        help="where guests ask for what a dialect has at an address of its own: "
        f"{', '.join(f'{name}={address}:80' for name, address in DOORS.items())}",
    )
    parser.add_argument(
        "--operator",
        default=_DEFAULTS.operator,
        metavar="WHERE",
        help=f"HOST:PORT, unix:PATH or off (default {_DEFAULTS.operator})",
    )
    parser.add_argument("--operator-cert", default="", metavar="FILE", help="TLS certificate, PEM")
    parser.add_argument("--operator-key", default="", metavar="FILE", help="its key, PEM")
    parser.add_argument("--state", default="", metavar="DIR", help="where keys and passwords live")
    parser.add_argument(
        "--last-good",
        action="store_true",
        help="start from the last good descriptions when the given ones are broken",
    )
    _configure_audit(parser)
    parser.add_argument(
        "--log-level",
        default=_DEFAULTS.log_level,
        choices=log.LEVELS,
    )
    parser.add_argument("--issuer-url", default="", metavar="URL", help="issuer of signed tokens")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which guests and the operator may ask, beside addresses, localhost and "
        "the names that clients know; repeatable",
    )
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a peer whose signed Neutron headers are believed; repeatable",
    )
    parser.add_argument(
        "--proxy-secret-file", default="", metavar="FILE", help="what they sign with"
    )
    parser.add_argument(
        "--session-key",
        default="",
        metavar="FILE",
        help="key of session tokens, for servers that should know each other's",
    )
    parser.add_argument(
        "--identity-cert",
        default="",
        metavar="FILE",
        help="certificate of signed identity documents, PEM",
    )
    parser.add_argument("--identity-key", default="", metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--allow-credential-process",
        action="store_true",
        help="run the programs that descriptions name to get credentials",
    )
    parser.add_argument(
        "--imdsv2",
        default="",
        metavar="FILE",
        help="what the fleet is held to about session tokens: mode, exceptions, canary",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a bound on what guests may hold or do, such as requests_of_vm=100; repeatable "
        "(names and defaults: docs/limits.md)",
    )


def _configure_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--audit",
        default="-",
        metavar="WHERE",
        help="one JSON line for each request, to FILE, - for standard output (default), "
        "syslog:PATH or off",
    )
    parser.add_argument(
        "--audit-rotate",
        type=_size,
        default=_DEFAULTS.audit_bytes,
        metavar="SIZE",
        help="size at which the file is kept as FILE.1 and begun anew, such as 512K or 64M "
        "(default); 0 if another program rotates it",
    )
    parser.add_argument(
        "--audit-keep",
        type=_count,
        default=_DEFAULTS.audit_files,
        metavar="N",
        help=f"how many such files are kept (default {_DEFAULTS.audit_files})",
    )


def _size(text: str) -> int:
    units = {"K": 10, "M": 20, "G": 30}
    shift = units.get(text[-1:].upper(), 0)
    digits = text[:-1] if shift else text
    if not (digits.isascii() and digits.isdecimal()):
        raise argparse.ArgumentTypeError(f'"{text}"; allowed: bytes, or a number with K, M or G')
    return int(digits) << shift


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f'"{text}"; allowed: 0 or more')
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    config = ServeConfig(
        instances=options.instances,
        podinfo=options.podinfo,
        templates=options.templates,
        listen=tuple(options.listen),
        doors=tuple(options.door),
        operator=options.operator,
        operator_cert=options.operator_cert,
        operator_key=options.operator_key,
        state=options.state,
        last_good=options.last_good,
        audit="" if options.audit == "off" else options.audit,
        audit_bytes=options.audit_rotate,
        audit_files=options.audit_keep,
        log_level=options.log_level,
        issuer_url=options.issuer_url,
        hosts=tuple(options.host),
        proxies=tuple(options.proxy),
        proxy_secret_file=options.proxy_secret_file,
        session_key=options.session_key,
        identity_cert=options.identity_cert,
        identity_key=options.identity_key,
        allow_credential_process=options.allow_credential_process,
        imdsv2=options.imdsv2,
        limits=_limits(options.limit),
    )
    log.configure(config.log_level)
    source = open_source(config.instances, config.podinfo)
    asyncio.run(_serve(config, source))
    return 0


def _limits(texts: list[str]) -> Limits:
    if not texts:
        return _DEFAULTS.limits
    from emulator.cli import limits  # noqa: PLC0415  few servers have others than the defaults

    return limits.read(texts)


async def _serve(config: ServeConfig, source: Source) -> None:
    server = Server(config, source, os.environ, SYSTEM)
    await server.run(lambda: _announce(server))


def _announce(server: Server) -> None:
    """Say what is served where, with commands that work as they are."""
    machines = server.hub.fleet.machines
    names = ", ".join(machine.instance.name for machine in machines[:_NAMED])
    more = f" and {len(machines) - _NAMED} more" if len(machines) > _NAMED else ""
    lines = [f"imds-emulator {__version__} serves {names}{more}"]
    named = list(server.doors.named)
    lines += [f"{door or 'listening'} on {listener}" for door, listener in named]
    if server.operator is not None:
        lines.append(f"operator on {server.operator}")
    # What a door has is not what the examples ask for.
    url = next((listener.url for door, listener in named if not door and listener.url), "")
    if url and server.hub.fleet.sole is not None:
        lines.append("try:")
        lines += [f"  {line}" for line in _examples(url, server.hub.fleet.sole)]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _examples(url: str, machine: Machine) -> list[str]:
    lines = []
    for dialect, policy in switched_on(machine.instance):
        if dialect.example:
            headers = "".join(f" -H {header}" for header in required(dialect, policy, url))
            lines.append(f"curl{headers} {shlex.quote(url + dialect.example)}")
    return lines
