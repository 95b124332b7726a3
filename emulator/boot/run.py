"""Boots one guest from start to end, and leaves nothing behind but what was asked to be kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from emulator.boot import disk, machine, network
from emulator.boot.machine import Acceleration, Firmware, Kernel, Machine
from emulator.boot.monitor import press_power_button
from emulator.boot.names import Names
from emulator.boot.neighbour import Manners, Neighbour
from emulator.boot.processes import Child, Interruption, Tail
from emulator.boot.qemu import Qemu
from emulator.boot.report import Report, asked, status
from emulator.boot.server import METADATA, MetadataServer, serve_command
from emulator.boot.verdict import Boot, Limits, Verdict
from emulator.boot.watch import Say, Sources, Watch
from emulator.boot.workspace import Workspace, workspace
from emulator.dialects.base import Hint
from emulator.errors import BootError
from emulator.model.instance import Instance
from emulator.observe.observation import DELAY
from emulator.ports import SYSTEM, Ports

SERVER_DEADLINE = 60.0
# A guest under TCG on a busy machine needs most of it to end its services.
SHUTDOWN_DEADLINE = 180.0
# For the line with which systemd says that cloud-init has ended; it is silent once getty runs.
SETTLING_DEADLINE = 20.0
AFTERMATH = 5.0
# For QEMU to write out what it holds of a disk that is kept; one that is not kept needs none.
FLUSH = 10.0
PAUSE = 0.1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was decided before a boot begins.

    ``description`` is the file that ``instance`` is from. ``firmware`` holds code and template of
    the variables, ``kernel`` replaces it. ``hosts`` are names by which the guest asks for the
    metadata address, ``doors`` its further addresses, by name. ``stay`` lets the guest run on
    after the verdict.
    """

    description: Path
    instance: Instance
    datasource: str
    hint: Hint
    hosts: frozenset[str]
    doors: Mapping[str, str]
    disk: disk.Disk
    qemu: Qemu
    acceleration: Acceleration
    cpu: str
    memory: int
    firmware: tuple[Path, Path] | None
    kernel: Kernel | None
    internet: bool
    ssh: int
    keep: bool
    stay: bool
    state: Path
    limits: Limits


class Talk(msgspec.Struct, frozen=True):
    """How a boot speaks: lines of progress, the console's lines, the report when it is known."""

    say: Say
    echo: Say | None
    report: Callable[[Report], None]


class Waiting(msgspec.Struct, frozen=True):
    """The clock, and how time passes between two looks."""

    ports: Ports = SYSTEM
    pause: Callable[[float], None] = time.sleep


def compose(plan: Plan, space: Workspace, neighbour: tuple[int, int] | None) -> list[str]:
    """Give QEMU's command line for ``plan`` with the files of ``space``."""
    start: Firmware | Kernel
    if plan.kernel is not None:
        start = plan.kernel
    elif plan.firmware is not None:
        start = Firmware(str(plan.firmware[0]), str(space.kept / "firmware.fd"))
    else:
        raise BootError("neither firmware nor kernel to start")
    return machine.command(
        Machine(
            qemu=plan.qemu.path,
            acceleration=plan.acceleration,
            cpu=plan.cpu,
            memory=plan.memory,
            name=plan.instance.name,
            uuid=plan.instance.uuid,
            hint=plan.hint,
            disk=str(space.kept / "disk.qcow2"),
            start=start,
            network=network.Network(
                segments=network.segments(plan.instance),
                doors=tuple(_doors(plan, space)),
                neighbour=neighbour,
                internet=plan.internet,
                ssh=plan.ssh,
            ),
            console=str(space.console),
            monitor=str(space.sockets / "monitor"),
        )
    )


def commands(plan: Plan) -> list[list[str]]:
    """Give what a boot would run, for doing it by hand; nothing is made."""
    home = plan.state / "boot" / plan.instance.name
    space = Workspace(home, home / "run", home / "run", plan.keep)
    overlay = str(space.kept / "disk.qcow2")
    steps = [["mkdir", "-p", str(space.run), str(space.kept)]]
    steps.append(disk.overlay_command(plan.disk, overlay))
    if plan.firmware is not None and plan.kernel is None:
        steps.append(["cp", str(plan.firmware[1]), str(space.kept / "firmware.fd")])
    steps.append(serve_command(plan.description, plan.doors, space))
    # A descriptor cannot be printed: by hand, static addresses find no router, and no name is
    # answered for.
    steps.append(compose(plan, space, None))
    return steps


def boot(plan: Plan, talk: Talk, waiting: Waiting | None = None) -> Report:
    """Boot by ``plan`` and give the report; raises BootError for what is not the guest's doing."""
    wait = waiting or Waiting()
    stop = Interruption()
    with (
        stop.installed(),
        workspace(plan.state, plan.instance.name, keep=plan.keep) as space,
        contextlib.ExitStack() as stack,
    ):
        space.overlay(plan.disk)
        if plan.firmware is not None and plan.kernel is None:
            space.variables(plan.firmware[1])
        server = MetadataServer(plan.description, plan.doors, space)
        stack.callback(server.stop)
        _until_ready(server, stop, wait)
        ends = _neighbour(plan, stack)
        qemu = Child(compose(plan, space, ends), space.run / "qemu.log", ends or ())
        stack.callback(qemu.stop, FLUSH if plan.keep else 0.0)
        return _Session(plan, talk, wait, stop, space, server, qemu).run()


class _Session:
    """A guest that runs."""

    def __init__(  # noqa: PLR0913, PLR0917 (the parts of one running boot)
        self,
        plan: Plan,
        talk: Talk,
        wait: Waiting,
        stop: Interruption,
        space: Workspace,
        server: MetadataServer,
        qemu: Child,
    ) -> None:
        self._plan = plan
        self._talk = talk
        self._wait = wait
        self._stop = stop
        self._space = space
        self._qemu = qemu
        self._server = server
        self._began = wait.ports.monotonic()
        self._started = wait.ports.wall()
        self._watch = Watch(
            Boot(plan.datasource, plan.limits),
            Sources(
                console=Tail(space.console),
                audit=Tail(server.audit),
                status=qemu.status,
                server=server.child.status,
                free=space.free,
                interrupted=lambda: stop.signal != 0,
            ),
            talk.say,
            talk.echo,
        )

    def run(self) -> Report:
        """Wait for the verdict, report it, and end the guest in the way that was asked for."""
        plan = self._plan
        verdict = None
        while verdict is None:
            self._wait.pause(PAUSE)
            verdict = self._watch.step(self._now())
        # What was asked last is in the audit log a little later.
        self._wait.pause(2 * DELAY)
        self._watch.news(self._now())
        report = self._report(verdict)
        self._talk.report(report)
        if plan.stay and verdict.outcome != "interrupted":
            self._follow(lambda: True)
        elif plan.keep and self._watch.boot.finished:
            self._shut_down()
        return report

    def _shut_down(self) -> None:
        """End the guest cleanly, so that the next boot finds a clean disk."""
        # cloud-init notes its result after its final message, and others wait for that.
        late = self._now() + SETTLING_DEADLINE
        self._follow(lambda: not self._watch.boot.settled and self._now() < late)
        late = self._now() + AFTERMATH
        self._follow(lambda: self._now() < late)
        press_power_button(self._space.sockets / "monitor")
        late = self._now() + SHUTDOWN_DEADLINE
        self._follow(lambda: self._now() < late)

    def _follow(self, more: Callable[[], bool]) -> None:
        while self._qemu.status() is None and not self._stop.signal and more():
            self._wait.pause(PAUSE)
            self._watch.news(self._now())

    def _now(self) -> float:
        return self._wait.ports.monotonic() - self._began

    def _report(self, verdict: Verdict) -> Report:
        boot = self._watch.boot
        state = status(boot, verdict)
        return Report(
            vm=self._plan.instance.name,
            outcome=verdict.outcome,
            message=verdict.message,
            wanted=self._plan.datasource,
            datasource=boot.found,
            cloud_init=f"{state} (version {boot.version})" if boot.version else state,
            acceleration=self._plan.acceleration,
            seconds=round(self._now(), 1),
            errors=boot.errors,
            warnings=boot.warnings,
            requests=asked(boot.requests, self._started),
            console=str(self._space.console),
            tail=self._watch.console.tail,
            details=self._details(verdict),
            kept=str(self._space.kept) if self._plan.keep else "",
        )

    def _details(self, verdict: Verdict) -> str:
        if verdict.good:
            return ""
        ended = self._server.child if verdict.outcome == "server-died" else self._qemu
        return ended.last_lines()


def _until_ready(server: MetadataServer, stop: Interruption, wait: Waiting) -> None:
    deadline = wait.ports.monotonic() + SERVER_DEADLINE
    while not server.ready():
        if stop.signal:
            raise BootError("interrupted")
        if wait.ports.monotonic() > deadline:
            raise BootError(f"the metadata server is not ready:\n{server.child.last_lines()}")
        wait.pause(PAUSE / 2)


def _doors(plan: Plan, space: Workspace) -> Iterator[network.Door]:
    addresses = {METADATA: network.METADATA_ADDRESS, **plan.doors}
    for name, address in addresses.items():
        yield network.Door(address, network.bridge_command(str(space.sockets / name)))


def _neighbour(plan: Plan, stack: contextlib.ExitStack) -> tuple[int, int] | None:
    routers = frozenset(network.gateways(plan.instance))
    if not routers and not plan.hosts:
        return None
    manners = Manners(
        routers=routers,
        names=Names(plan.hosts, network.METADATA_ADDRESS, alone=not plan.internet),
        # Let out, the guest is told of it by QEMU.
        name_server=network.NAME_SERVER if plan.hosts and not plan.internet else "",
    )
    neighbour = Neighbour(manners)
    stack.callback(neighbour.close)
    neighbour.start()
    return neighbour.descriptors
