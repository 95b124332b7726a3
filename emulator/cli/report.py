"""``imds-emulator report``: who would be refused if IMDSv2 was required."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from emulator.cli import USAGE_ERROR
from emulator.observe.audit import Line, read
from emulator.observe.callers import Caller, Finding, find

NO_EVIDENCE = 3
_CONFIGURATION = b'"event.category":["configuration"]'
_FORMATS = ("table", "json", "csv")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = (
        "It reads audit logs (serve --audit). Exit codes: 0 nobody would be refused; "
        "1 somebody would; 2 wrong input; 3 there is no request that tells, in any log or, with "
        "--each, in one"
    )
    parser.add_argument(
        "logs", nargs="+", metavar="LOG", help="audit logs, also gzipped; a folder: all in it"
    )
    parser.add_argument("--format", default="table", choices=_FORMATS, help="default: table")
    parser.add_argument(
        "--since",
        type=_moment,
        default=0.0,
        metavar="TIME",
        help="from then on, such as 2026-11-01",
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="a verdict for each log: for a pipeline that boots each image with a log of its own",
    )


def run(options: argparse.Namespace) -> int:
    """Print what was found; give the exit code of ``configure``."""
    files: list[Path] = []
    for given in map(Path, options.logs):
        files += sorted(given.iterdir()) if given.is_dir() else [given]
    try:
        if options.each:
            return _each(files, options.since)
        found = find((line for file in files for line in _lines(file)), options.since)
    except OSError as error:
        print(f"imds-emulator report: {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE_ERROR
    _print(found, options.format)
    if found.unread:
        print(f"{found.unread} lines were none of an audit log", file=sys.stderr)
    return _status(found)


def _each(files: list[Path], since: float) -> int:
    worst = 0
    for file in files:
        found = find(_lines(file), since)
        status = _status(found)
        worst = max(worst, status)
        words = {0: "passes", 1: "would break", NO_EVIDENCE: "no evidence"}
        print(f"{file.name}: {words[status]}")
        for caller in found.callers:
            print(f"  {caller.user_agent or '-'}: {next(iter(caller.paths))}: {caller.advice}")
    return worst


def _status(found: Finding) -> int:
    if found.callers:
        return 1
    return 0 if found.machines else NO_EVIDENCE


def _lines(file: Path) -> Iterator[Line | None]:
    """Give the accesses in ``file``, None for what is no line of an audit log."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        try:
            for text in lines:
                line = read(text)
                if line is not None or _CONFIGURATION not in text:
                    yield line
        except (EOFError, gzip.BadGzipFile):
            yield None


def _print(found: Finding, form: str) -> None:
    if form == "json":
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    elif form == "csv":
        rows = csv.writer(sys.stdout)
        names = ("namespace", "vm", "user_agent", "requests", "first", "last", "path", "advice")
        rows.writerow(names)
        for caller in found.callers:
            row = [getattr(caller, name) for name in names[:6]]
            rows.writerow([*row, next(iter(caller.paths)), caller.advice])
    else:
        _table(found)


def _table(found: Finding) -> None:
    breaking = sum(machine.without > 0 for machine in found.machines.values())
    print(f"{breaking} of {len(found.machines)} VMs would be refused something")
    for caller in found.callers:
        print(f"{caller.namespace}/{caller.vm}  {caller.user_agent or '(no user agent)'}")
        print(f"  {_counted(caller)}, last at {caller.last}")
        print(f"  {_paths(caller)}")
        print(f"  {caller.advice}" + (f" ({caller.source})" if caller.source else ""))


def _counted(caller: Caller) -> str:
    return "1 request" if caller.requests == 1 else f"{caller.requests} requests"


def _paths(caller: Caller) -> str:
    first, *others = caller.paths
    return f"{first} and {len(others)} more" if others else first


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}"; allowed: a time such as 2026-11-01 or 2026-11-01T08:00:00Z'
        raise argparse.ArgumentTypeError(message) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
