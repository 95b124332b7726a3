"""Composes QEMU's command line. Pure: values in, arguments out."""

from __future__ import annotations

import shlex
from typing import Literal

import msgspec

from emulator.boot.network import NAME_SERVER, Door, Network, Segment, holding
from emulator.dialects.base import Hint

Acceleration = Literal["kvm", "tcg"]
Version = tuple[int, int]

# Before version 10, TCG's CMPXCHG16B double-faults current kernels. Without it systems built for
# x86-64-v2 refuse to run: these need another processor model, or a newer QEMU.
_SOUND_TCG = (10, 0)


class Firmware(msgspec.Struct, frozen=True):
    """UEFI: the read-only code and this guest's own copy of the variables."""

    code: str
    variables: str


class Kernel(msgspec.Struct, frozen=True):
    """A kernel that QEMU loads itself, without firmware and boot loader."""

    kernel: str
    initrd: str = ""
    append: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides how a guest is started.

    ``memory`` is in MiB. ``console`` is the file that gets the serial console, ``monitor`` the
    Unix socket of QEMU's own protocol. ``start`` is what runs first in the guest.
    """

    qemu: str
    acceleration: Acceleration
    cpu: str
    memory: int
    name: str
    uuid: str
    hint: Hint
    disk: str
    start: Firmware | Kernel
    network: Network
    console: str
    monitor: str


def default_cpu(acceleration: Acceleration, version: Version) -> str:
    """Choose the processor model on which stock kernels have been seen to run."""
    if acceleration == "kvm":
        return "host"
    return "max,la57=off" if version >= _SOUND_TCG else "max,la57=off,-cx16"


def command(machine: Machine) -> list[str]:
    """Give the whole command line, ready to be executed or quoted for a shell."""
    return [
        machine.qemu,
        *("-name", escape(machine.name)),
        *("-machine", f"q35,accel={machine.acceleration}"),
        *("-cpu", machine.cpu),
        *("-smp", "1"),
        *("-m", str(machine.memory)),
        # Nothing that was not asked for, and a guest's reboot is an end that can be reported.
        *("-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none"),
        *("-chardev", f"file,id=console,path={escape(machine.console)}"),
        *("-serial", "chardev:console"),
        *("-qmp", f"unix:{escape(machine.monitor)},server=on,wait=off"),
        *_start(machine.start),
        # The overlay outlives QEMU, not the host: nothing is lost by never flushing.
        *("-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={escape(machine.disk)}"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-device", "virtio-rng-pci"),
        *_smbios(machine.hint, machine.uuid),
        *network_arguments(machine.network),
    ]


def printable(arguments: list[str]) -> str:
    """Give the command for a shell, one flag a line."""
    lines: list[str] = []
    for argument in map(shlex.quote, arguments):
        if argument.startswith("-") or not lines:
            lines.append(argument)
        else:
            lines[-1] += f" {argument}"
    return " \\\n  ".join(lines)


def escape(value: str) -> str:
    """Double the commas, with which QEMU would end a value."""
    return value.replace(",", ",,")


def identity(hint: Hint, uuid: str) -> str:
    """Give the UUID that the guest sees: some clouds are told by how it begins."""
    return hint.uuid_prefix + uuid[len(hint.uuid_prefix) :]


def network_arguments(network: Network) -> list[str]:
    """Give the arguments for all links of the guest.

    The first segment carries the metadata address.
    """
    first, *others = network.segments
    arguments = ["-netdev", _metadata_backend(network)]
    if network.neighbour is None:
        arguments += _cards("meta", 0, first)
    else:
        guest, outside = network.neighbour
        # Two backends meet in a hub only.
        hub = len(network.segments)
        arguments += ["-netdev", f"socket,id=outside,fd={outside}"]
        arguments += [*_port(hub, "in", "meta"), *_port(hub, "out", "outside")]
        arguments += ["-netdev", f"socket,id=guest,fd={guest}", *_cards("guest", 0, first)]
    for number, segment in enumerate(others):
        # Links that lead nowhere, each in a network of its own so that DHCP answers differ.
        backend = f"user,id=link{number},restrict=on,ipv6=off,net=10.254.{number}.0/24"
        arguments += ["-netdev", backend, *_cards(f"link{number}", number + 1, segment)]
    return arguments


def _start(start: Firmware | Kernel) -> list[str]:
    if isinstance(start, Firmware):
        code = f"if=pflash,unit=0,format=raw,readonly=on,file={escape(start.code)}"
        variables = f"if=pflash,unit=1,format=raw,file={escape(start.variables)}"
        return ["-drive", code, "-drive", variables]
    arguments = ["-kernel", start.kernel]
    if start.initrd:
        arguments += ["-initrd", start.initrd]
    if start.append:
        arguments += ["-append", start.append]
    return arguments


def _smbios(hint: Hint, uuid: str) -> list[str]:
    uuid = identity(hint, uuid)
    # Older cloud-init wants the serial of an identity that is told by its UUID to be the same.
    serial = hint.serial or (uuid if hint.uuid_prefix else "")
    system = {"product": hint.product, "serial": serial, "uuid": uuid}
    fields = [f"{name}={escape(value)}" for name, value in system.items() if value]
    arguments = ["-smbios", ",".join(("type=1", *fields))]
    if hint.asset:
        arguments += ["-smbios", f"type=3,asset={escape(hint.asset)}"]
    return arguments


def _metadata_backend(network: Network) -> str:
    """QEMU's user network, made so wide that the metadata address is a neighbour of the guest.

    ``guestfwd`` takes an address inside the network only, and starts the program once for each
    connection; a socket or a character device there would be one stream for all of them.
    """
    wide = holding(door.address for door in network.doors)
    options = [
        f"user,id=meta,net={wide},dhcpstart=169.254.100.2,host=169.254.1.1,dns={NAME_SERVER}",
        "ipv6=off",
        "restrict=off" if network.internet else "restrict=on",
        *map(_forward, network.doors),
    ]
    if network.ssh:
        options.append(f"hostfwd=tcp:127.0.0.1:{network.ssh}-:22")
    return ",".join(options)


def _forward(door: Door) -> str:
    bridge = " ".join(map(shlex.quote, door.bridge))
    return f"guestfwd=tcp:{door.address}:80-cmd:{escape(bridge)}"


def _cards(backend: str, hub: int, segment: Segment) -> list[str]:
    """Give the cards of a segment on its backend; where there are several, a hub joins them."""
    if len(segment.macs) == 1:
        return _card(backend, segment.macs[0])
    arguments = _port(hub, "out", backend)
    for number, mac in enumerate(segment.macs):
        port = f"hub{hub}port{number}"
        arguments += ["-netdev", f"hubport,id={port},hubid={hub}", *_card(port, mac)]
    return arguments


def _port(hub: int, name: str, backend: str) -> list[str]:
    return ["-netdev", f"hubport,id=hub{hub}{name},hubid={hub},netdev={backend}"]


def _card(backend: str, mac: str) -> list[str]:
    # Without its boot ROM: a guest that boots from the network is not what is tried here.
    return ["-device", f"virtio-net-pci,netdev={backend},mac={mac},romfile="]
