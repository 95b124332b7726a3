"""What came of a boot. Pure: console events, requests and the time go in, a verdict comes out."""

from __future__ import annotations

from typing import Literal

import msgspec

from emulator.boot.console import Event
from emulator.observe.audit import Line

Outcome = Literal[
    "done",
    "cloud-init-errors",
    "wrong-datasource",
    "never-asked",
    "stuck",
    "timeout",
    "panic",
    "no-boot",
    "powered-off",
    "qemu-died",
    "server-died",
    "disk-full",
    "interrupted",
]

# cloud-init's class of each dialect; the local stage's classes go on after this name.
DATASOURCES = {
    "openstack": "DataSourceOpenStack",
    "nocloud": "DataSourceNoCloud",
    "ec2": "DataSourceEc2",
    "gce": "DataSourceGCE",
    "azure": "DataSourceAzure",
}


class Request(msgspec.Struct, frozen=True):
    """A request of the guest; ``time`` is seconds since the epoch, durations microseconds."""

    time: float
    dialect: str
    method: str
    path: str
    status: int
    reason: str = ""
    bytes: int = 0
    duration_us: int = 0
    user_agent: str = ""
    session: str = ""


def request(line: Line) -> Request:
    """Read a request from a line of the audit log."""
    return Request(
        time=line.seconds,
        dialect=line.dialect,
        method=line.method,
        path=line.path,
        status=line.status,
        reason=line.reason,
        bytes=line.bytes,
        duration_us=line.duration // 1000,
        user_agent=line.user_agent,
        session=line.session,
    )


class Limits(msgspec.Struct, frozen=True):
    """How long to wait, in seconds: for the end, and for any sign of life."""

    timeout: float
    silence: float


class Verdict(msgspec.Struct, frozen=True):
    """How it ended, and the sentence that says so."""

    outcome: Outcome
    message: str

    @property
    def good(self) -> bool:
        """Whether cloud-init finished without error and with the wanted datasource."""
        return self.outcome == "done"


class Boot:
    """All that is known of one boot so far; ``verdict`` is None while it goes on.

    ``finished`` is set by cloud-init's final message, ``settled`` by systemd once it has ended.
    """

    def __init__(self, datasource: str, limits: Limits) -> None:
        """Watch a boot in which ``datasource`` (a dialect's name) is wanted."""
        self.datasource = datasource
        self.limits = limits
        self.phase = "starting QEMU"
        self.version = ""
        self.found = ""
        self.finished = False
        self.settled = False
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.requests: list[Request] = []
        self.login = ""
        self.fatal: Verdict | None = None
        self._last_sign = 0.0

    def sign(self, now: float) -> None:
        """Note that the guest showed life ``now`` seconds after its start."""
        self._last_sign = now

    def request(self, request: Request) -> None:
        """Note an answered request."""
        self.requests.append(request)

    def event(self, event: Event) -> None:
        """Note what the console shows."""
        match event.kind:
            case "warning":
                self.warnings.append(event.text)
            case "error":
                self.errors.append(event.text)
            case "stage":
                self.version = event.detail
                self.phase = f"cloud-init {event.text}"
            case "final":
                self.version, self.found, self.finished = event.detail, event.text, True
            case "login":
                self.login = event.text
            case "ended":
                self.finished = self.settled = True
            case _:
                self._system(event)

    def verdict(self, now: float) -> Verdict | None:
        """Give the verdict, once there is one, ``now`` seconds after the guest's start."""
        if self.finished:
            return self._result()
        if self.fatal is not None:
            return self.fatal
        if now >= self.limits.timeout:
            return self._late(f"after {now:.0f} s")
        if now - self._last_sign >= self.limits.silence:
            return self._late(f"silent for {self.limits.silence:.0f} s", silent=True)
        return None

    def exited(self, status: int) -> Verdict:
        """Give the verdict when QEMU has ended by itself with ``status``."""
        if self.finished:
            return self._result()
        if self.fatal is not None:
            return self.fatal
        if status == 0:
            return Verdict(
                "powered-off",
                f"the guest powered off by itself before cloud-init had finished ({self.phase})",
            )
        return Verdict("qemu-died", f"QEMU ended with {_status(status)} ({self.phase})")

    def _system(self, event: Event) -> None:
        match event.kind:
            case "firmware":
                self.phase = "firmware"
            case "kernel":
                self.phase = f"kernel {event.text}"
            case "panic":
                self.fatal = Verdict("panic", f"kernel panic in the guest: {event.text}")
            case "no-loader":
                message = f"the firmware found nothing to boot on the disk: {event.text}"
                self.fatal = Verdict("no-boot", message)
            case "no-root" | "emergency":
                message = f"the guest did not get to its system: {event.text}"
                self.fatal = Verdict("stuck", message)
            case "reboot":
                message = f"the guest rebooted before cloud-init had finished ({self.phase})"
                self.fatal = Verdict("powered-off", message)
            case _:
                self.phase = "powering off"

    def _result(self) -> Verdict:
        wanted = DATASOURCES.get(self.datasource, self.datasource)
        if self.found and not self.found.startswith(wanted):
            message = f"cloud-init found {self.found}, wanted was {wanted}"
            return Verdict("wrong-datasource", message)
        if self.errors:
            message = f"cloud-init finished with {len(self.errors)} error(s): {self.errors[0]}"
            return Verdict("cloud-init-errors", message)
        if not self.found:
            message = (
                "cloud-init finished, but did not name its datasource on the console "
                "(is final_message replaced by user data?)"
            )
            return Verdict("wrong-datasource", message)
        return Verdict("done", f"cloud-init {self.version} finished with {self.found}")

    def _late(self, when: str, *, silent: bool = False) -> Verdict:
        if not self.requests:
            why = f"the guest never asked for metadata ({when}; last seen: {self.phase})"
            if self.login and not self.version:
                why += f"; it shows a login prompt ({self.login}) but cloud-init never ran"
            return Verdict("never-asked", why)
        last = self.requests[-1]
        what = f"last seen: {self.phase}; last request: {last.method} {last.path} {last.status}"
        if silent:
            return Verdict("stuck", f"the guest is stuck ({when}; {what})")
        return Verdict("timeout", f"cloud-init has not finished {when} ({what})")


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
