"""The steps of a sidecar, from root with a network to change to a server without privileges."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from socket import EAI_NONAME, socket
from types import FrameType
from typing import NoReturn

from emulator.errors import StartError
from emulator.ports import Ports
from emulator.runtime.sockets import Endpoint, listen
from emulator.sidecar import handover, privileges
from emulator.sidecar.addresses import METADATA, PORT, host
from emulator.sidecar.config import SidecarConfig
from emulator.sidecar.waiting import wait

STOPPING = (signal.SIGTERM, signal.SIGINT)

_log = logging.getLogger("imds")


def run(config: SidecarConfig, ports: Ports) -> NoReturn:
    """Become the server of a machine, waiting for its bridge first; raise ``StartError``."""
    for number in STOPPING:
        signal.signal(number, _stop)
    further = (address for _, address in config.doors)
    addresses = (*(() if config.listen else METADATA), *further)
    if config.plumbing == "bridge":
        addresses = _plumb(config, addresses, ports)
    opened = _open(addresses)
    places = [_inherited(opened[where]) for where in METADATA if where in opened]
    named = {name: _inherited(opened[where]) for name, where in config.doors if where in opened}
    present: list[str] = []
    with suppress(OSError):
        present = os.listdir(handover.keys(config))  # noqa: PTH208  names are all that is asked
    arguments = handover.arguments(config, (*config.listen, *places), named, present)
    privileges.drop(config.user)
    # Between here and the server's own handlers a signal waits instead of being lost: the first
    # process of a container ignores those that it has no handler for.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    os.execv(sys.executable, [sys.executable, "-m", "emulator", *arguments])  # noqa: S606


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """End, wherever we are: nothing that was begun outlives the pod."""
    del number, frame
    sys.exit(0)


def _plumb(config: SidecarConfig, addresses: Collection[str], ports: Ports) -> tuple[str, ...]:
    # Only here: without plumbing, no network library is needed.
    from emulator.sidecar.links import Bell, Links  # noqa: PLC0415

    with Links() as links, Bell() as bell:
        _log.info("waiting for the bridge of the virtual machine")
        way = wait(links, bell, config.bridge, ports)
        had = links.plumb(way, addresses)
    _log.info(
        "the guest behind %s on %s is served at %s", way.tap.name, way.bridge, ", ".join(had)
    )
    return had


def _open(addresses: Collection[str]) -> dict[str, socket]:
    """Listen on those of ``addresses`` that the pod has: at least one."""
    opened: dict[str, socket] = {}
    for address in addresses:
        try:
            opened[address] = listen(Endpoint(host=host(address), port=PORT))
        except StartError as error:
            if not _absent(error.__cause__):
                raise
    if addresses and not opened:
        raise StartError(
            f"the pod has none of the addresses {', '.join(addresses)}; "
            "is the machine's network plugged in, or --listen missing?"
        )
    return opened


def _absent(cause: BaseException | None) -> bool:
    """Say whether the pod lacks an address, IPv6, or the device that it belongs to."""
    lacking = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENODEV, EAI_NONAME}
    return isinstance(cause, OSError) and cause.errno in lacking


def _inherited(opened: socket) -> str:
    opened.set_inheritable(True)
    return f"fd:{opened.fileno()}"
