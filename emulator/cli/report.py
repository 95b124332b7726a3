"""``imds-emulator report``: who would be refused if IMDSv2 was required."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import PurePath

import msgspec

from emulator.cli import USAGE_ERROR
from emulator.errors import StartError
from emulator.observe import evidence
from emulator.observe.callers import Caller, Finding, together

BREAKS = 1
NO_EVIDENCE = 3
_FORMATS = ("table", "json", "csv")
_VERDICTS = {0: "passes", BREAKS: "would break", NO_EVIDENCE: "no evidence"}
_COLUMNS = ("namespace", "vm", "user_agent", "requests", "refused", "first", "last")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = (
        "Exit codes: 0 nobody would be refused; 1 somebody would; 2 wrong input; 3 there is no "
        "request that tells, in any place or, with --each, in one"
    )
    parser.add_argument(
        "places",
        nargs="+",
        metavar="PLACE",
        help="audit logs (serve --audit), also gzipped, and reports of boots (boot --json); a "
        "folder: all in it; a server's operator: its URL, or unix:PATH",
    )
    parser.add_argument("--format", default="table", choices=_FORMATS, help="default: table")
    parser.add_argument(
        "--since",
        type=_moment,
        default=0.0,
        metavar="TIME",
        help="from then on, such as 2026-11-01; of a server, clients that asked since",
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="a verdict for each place: for a pipeline that boots each image with a log of its "
        "own; what was refused for want of a token breaks it too",
    )
    parser.add_argument(
        "--allow-no-evidence",
        action="store_true",
        help="exit with 0 where there is no request that tells",
    )


def run(options: argparse.Namespace) -> int:
    """Print what was found; give the exit code of ``configure``."""
    places = [place for given in options.places for place in evidence.places(given)]
    try:
        found = {place: evidence.finding(place, options.since) for place in places}
    except OSError as error:
        name = error.filename or ", ".join(options.places)
        print(f"imds-emulator report: {name}: {error.strerror or error}", file=sys.stderr)
        return USAGE_ERROR
    except StartError as error:
        print(f"imds-emulator report: {error}", file=sys.stderr)
        return USAGE_ERROR
    if options.each:
        codes = _each(found, options.format)
    else:
        whole = together(found.values())
        _print(whole, options.format)
        codes = [_status(whole.callers, whole)]
    unread = sum(one.unread for one in found.values())
    if unread:
        print(f"{unread} lines were none of an audit log", file=sys.stderr)
    if options.allow_no_evidence:
        codes = [code for code in codes if code != NO_EVIDENCE]
    # What would break is worse than what nobody knows.
    return BREAKS if BREAKS in codes else max(codes, default=0)


def _each(found: dict[str, Finding], form: str) -> list[int]:
    codes = []
    documents: list[object] = []
    rows: list[list[object]] = [["place", "verdict", *_COLUMNS, "path", "advice"]]
    for place, finding in found.items():
        offenders = [*finding.callers, *finding.refused]
        code = _status(offenders, finding)
        codes.append(code)
        name = place if evidence.is_server(place) else PurePath(place).name
        verdict = _VERDICTS[code]
        documents.append({"place": name, "verdict": verdict, "callers": offenders})
        rows += [[name, verdict, *_row(caller)] for caller in offenders] or [[name, verdict]]
        if form == "table":
            print(f"{name}: {verdict}")
            for caller in offenders:
                print(f"  {caller.user_agent or '-'}: {next(iter(caller.paths))}: {caller.advice}")
    if form == "json":
        print(json.dumps(msgspec.to_builtins(documents), indent=2))
    elif form == "csv":
        csv.writer(sys.stdout).writerows(rows)
    return codes


def _status(offenders: Iterable[Caller], found: Finding) -> int:
    if any(offenders):
        return BREAKS
    return 0 if found.machines else NO_EVIDENCE


def _print(found: Finding, form: str) -> None:
    if form == "json":
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    elif form == "csv":
        rows = csv.writer(sys.stdout)
        rows.writerow((*_COLUMNS, "path", "advice"))
        rows.writerows(map(_row, found.callers))
    else:
        _table(found)


def _row(caller: Caller) -> list[object]:
    values = [getattr(caller, name) for name in _COLUMNS]
    return [*values, next(iter(caller.paths)), caller.advice]


def _table(found: Finding) -> None:
    breaking = sum(machine.without > 0 for machine in found.machines.values())
    print(f"{breaking} of {len(found.machines)} VMs would be refused something")
    for caller in found.callers:
        print(f"{caller.namespace}/{caller.vm}  {caller.user_agent or '(no user agent)'}")
        print(f"  {_counted(caller.requests)}, last at {caller.last}")
        _paths_and_advice(caller)
    for caller in found.refused:
        print(f"{caller.namespace}/{caller.vm}  {caller.user_agent or '(no user agent)'}")
        print(f"  is refused already: {_counted(caller.refused)}, last at {caller.last}")
        _paths_and_advice(caller)


def _paths_and_advice(caller: Caller) -> None:
    first, *others = caller.paths
    print(f"  {first} and {len(others)} more" if others else f"  {first}")
    print(f"  {caller.advice}" + (f" ({caller.source})" if caller.source else ""))


def _counted(requests: int) -> str:
    return "1 request" if requests == 1 else f"{requests} requests"


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}"; allowed: a time such as 2026-11-01 or 2026-11-01T08:00:00Z'
        raise argparse.ArgumentTypeError(message) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
