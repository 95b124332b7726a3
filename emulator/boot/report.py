"""The summary of a boot: for people, and as JSON."""

from __future__ import annotations

import msgspec

from emulator.boot.console import clean
from emulator.boot.verdict import Boot, Outcome, Request, Verdict

_MOST_REQUESTS = 200


class Asked(msgspec.Struct, frozen=True):
    """A request; ``at`` is seconds after QEMU's start, ``milliseconds`` the server's time.

    ``session`` is ``given`` or ``absent`` where session tokens are taken.
    """

    at: float
    dialect: str
    method: str
    path: str
    status: int
    reason: str
    bytes: int
    milliseconds: float
    user_agent: str
    session: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a boot came to.

    ``datasource`` is the class that cloud-init named, ``wanted`` the dialect. ``seconds`` is from
    QEMU's start to the verdict. ``console`` names the file, ``tail`` its last lines; ``details``
    are the last lines of QEMU, or of the server where that has ended.
    """

    vm: str
    outcome: Outcome
    message: str
    wanted: str
    datasource: str
    cloud_init: str
    acceleration: str
    seconds: float
    errors: list[str]
    warnings: list[str]
    requests: list[Asked]
    console: str
    tail: list[str]
    details: str = ""
    kept: str = ""

    @property
    def good(self) -> bool:
        """Whether cloud-init finished without error and with the wanted datasource."""
        return self.outcome == "done"


def asked(requests: list[Request], started: float) -> list[Asked]:
    """Give requests with times after ``started``, QEMU's start in seconds since the epoch."""
    return [
        Asked(
            at=round(request.time - started, 3),
            dialect=request.dialect,
            method=request.method,
            path=request.path,
            status=request.status,
            reason=request.reason,
            bytes=request.bytes,
            milliseconds=request.duration_us / 1000,
            user_agent=request.user_agent,
            session=request.session,
        )
        for request in requests
    ]


def status(boot: Boot, verdict: Verdict) -> str:
    """Give cloud-init's state in a word, as its own ``status`` would."""
    if not boot.finished:
        return "not finished" if boot.version else "not seen"
    return "error" if verdict.outcome == "cloud-init-errors" else "done"


def text(report: Report) -> str:
    """Give the summary as a page of text."""
    lines = [
        "",
        f"{report.vm}: {report.message}",
        f"  datasource  {report.datasource or 'none'} (wanted: {report.wanted})",
        f"  cloud-init  {report.cloud_init}",
        f"  time        {report.seconds:.0f} s under {report.acceleration}",
    ]
    lines += [f"  error       {line}" for line in report.errors]
    lines += [f"  warning     {line}" for line in report.warnings]
    lines += _requests(report.requests)
    if report.details:
        lines += ["  last lines:", *(f"    {line}" for line in report.details.split("\n"))]
    if not report.good and report.tail:
        lines += ["  end of the console:", *(f"    {line}" for line in report.tail[-15:])]
    lines.append(f"  console     {report.console}")
    if report.kept:
        lines.append(f"  disk kept   {report.kept}")
    return "\n".join(lines)


def _requests(requests: list[Asked]) -> list[str]:
    if not requests:
        return ["  requests    none"]
    refused = sum(request.status >= 400 for request in requests)  # noqa: PLR2004 (HTTP's errors)
    lines = [
        f"  requests    {len(requests)}, {refused} refused or not found",
        f"  {'at':>8} {'status':>6} {'ms':>7} {'bytes':>8}  request",
    ]
    for request in requests[:_MOST_REQUESTS]:
        reason = f"  ({request.reason})" if request.reason else ""
        lines.append(
            f"  {request.at:7.1f}s {request.status:>6} {request.milliseconds:7.1f} "
            f"{request.bytes:>8}  {clean(f'{request.method} {request.path}')}{reason}"
        )
    if len(requests) > _MOST_REQUESTS:
        lines.append(f"  ... and {len(requests) - _MOST_REQUESTS} more")
    return lines
