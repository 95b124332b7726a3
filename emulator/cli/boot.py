"""``imds-emulator boot``: boots a disk image under QEMU with metadata."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from emulator.boot.acceleration import accelerate
from emulator.boot.disk import Disk, inspect
from emulator.boot.images.cache import Cache, cache_folder
from emulator.boot.images.find import find
from emulator.boot.machine import Kernel, default_cpu, printable
from emulator.boot.network import gets_address
from emulator.boot.processes import interruptible
from emulator.boot.qemu import find_firmware, find_qemu
from emulator.boot.report import Report, text
from emulator.boot.run import Plan, Talk, boot, commands
from emulator.boot.verdict import DATASOURCES, Limits
from emulator.cli.source import SAMPLE
from emulator.dialects import DIALECTS, VOCABULARY, gives_tokens, switched_on
from emulator.dialects.base import Hint
from emulator.errors import BootError, ConfigError, Problem
from emulator.model.instance import Instance
from emulator.runtime.state import default_directory
from emulator.sources import load

# Seconds. TCG is ten to thirty times slower than KVM, and shares the machine.
_TIMEOUTS = {"kvm": 300.0, "tcg": 1200.0}
_SILENCE = {"kvm": 120.0, "tcg": 300.0}
# In the order in which they are preferred.
_SERVED = [name for name in DATASOURCES if name in DIALECTS]
_SMBIOS = Hint.__struct_fields__
_LEAST_MEMORY = 256
_LAST_PORT = 65_535


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a disk image (qcow2 or raw), or a name (see `image list`)")
    add("--instance", default="", metavar="FILE", help="description (default: the sample)")
    add("--datasource", choices=_SERVED, help="what the guest is to find")
    add(
        "--smbios",
        action="append",
        default=[],
        type=_smbios,
        metavar="FIELD=VALUE",
        help=f"what the guest finds there instead ({', '.join(_SMBIOS)}); repeatable",
    )
    add("--console", action="store_true", help="show the guest's console as it goes")
    add(
        "--ssh",
        type=_port,
        default=0,
        metavar="PORT",
        help="forward 127.0.0.1:PORT to the guest's ssh and let it run on",
    )
    add("--keep", action="store_true", help="keep the disk, and go on with it next time")
    add("--timeout", type=_seconds, metavar="S", help="seconds to wait for cloud-init's end")
    add("--memory", type=_memory, default=1024, metavar="MIB", help="guest memory (default 1024)")
    add("--cpu", default="", metavar="MODEL", help="QEMU's processor model")
    add(
        "--network",
        choices=["isolated", "internet"],
        default="isolated",
        help="whether the guest gets out; internet includes the host's loopback",
    )
    add("--kernel", type=Path, metavar="FILE", help="start this kernel instead of the boot loader")
    add("--initrd", type=Path, metavar="FILE", help="its initial file system")
    add("--append", default="", metavar="LINE", help="its command line")
    add("--state", type=Path, metavar="DIR", help="where consoles and kept disks live")
    add("--print-command", action="store_true", help="print what would be run, and stop")
    add("--json", action="store_true", help="print the summary as JSON")


def run(options: argparse.Namespace) -> int:
    """Boot; 0 only if cloud-init finished without error and with the wanted datasource."""
    with interruptible():
        plan = _plan(options)
    if options.print_command:
        print("\n\n".join(map(printable, commands(plan))))
        return 0
    _say(f"{plan.instance.name}: {plan.disk.path}, {plan.datasource}, {plan.acceleration}")
    if gives_tokens(plan.instance):
        _say("hop limits of session tokens do not act through QEMU's user network")

    def show(report: Report) -> None:
        if options.json:
            print(msgspec.json.format(msgspec.json.encode(report)).decode(), flush=True)
        else:
            print(text(report), flush=True)
        if plan.stay:
            _say(f"the guest runs on until it powers off or Ctrl-C; ssh -p {plan.ssh} 127.0.0.1")

    report = boot(plan, Talk(_say, _say if options.console else None, show))
    return 0 if report.good else 1


def _plan(options: argparse.Namespace) -> Plan:
    description = Path(options.instance) if options.instance else SAMPLE
    instance = _instance(description)
    datasource = _datasource(options.datasource or "", instance, str(description))
    if options.ssh and not gets_address(instance):
        raise BootError(
            f"{description}: --ssh needs dhcp4 on the first interface; QEMU forwards to the "
            "address that its own DHCP gives"
        )
    qemu = find_qemu()
    image = find(options.image, Cache(cache_folder()), None if options.print_command else _say)
    disk = inspect(Path(image.disk))
    kernel = _kernel(options, disk)
    acceleration = accelerate(qemu.path)
    on = [dialect for dialect, _ in switched_on(instance)]
    return Plan(
        description=description,
        instance=instance,
        datasource=datasource,
        hint=Hint(**dict(options.smbios)) if options.smbios else DIALECTS[datasource].hint,
        hosts=frozenset(host for dialect in on for host in dialect.hosts),
        doors={name: where for dialect in on for name, where in dialect.doors.items()},
        disk=disk,
        qemu=qemu,
        acceleration=acceleration,
        cpu=options.cpu or default_cpu(acceleration, qemu.version),
        memory=options.memory,
        firmware=None if kernel else find_firmware(),
        kernel=kernel,
        internet=options.network == "internet",
        ssh=options.ssh,
        keep=options.keep,
        stay=bool(options.ssh),
        state=(options.state or Path(default_directory(os.environ))).absolute(),
        limits=_limits(options.timeout, acceleration),
    )


def _instance(description: Path) -> Instance:
    instances = load(str(description), VOCABULARY)
    if len(instances) != 1:
        names = ", ".join(instance.name for instance in instances) or "none"
        raise ConfigError(
            Problem(str(description), 0, "", f"{len(instances)} machines ({names})", "one machine")
        )
    return instances[0]


def _datasource(wanted: str, instance: Instance, description: str) -> str:
    served = [name for name in _SERVED if name in instance.dialects]
    if not wanted and served:
        return served[0]
    if wanted in served:
        return wanted
    allowed = f"{wanted}: on" if wanted else f"one of {', '.join(_SERVED)}"
    found = ", ".join(instance.dialects) or "none"
    raise ConfigError(Problem(description, 0, "dialects", found, allowed))


def _kernel(options: argparse.Namespace, disk: Disk) -> Kernel | None:
    if options.kernel is None:
        if options.initrd or options.append:
            raise BootError("--initrd and --append go with --kernel")
        if not disk.partitioned:
            raise BootError(f"{disk.path} has no boot loader; start it with --kernel")
        return None
    for file in filter(None, (options.kernel, options.initrd)):
        if not file.is_file():
            raise BootError(f"{file}: no such file")
    return Kernel(str(options.kernel), str(options.initrd or ""), options.append)


def _limits(timeout: float | None, acceleration: str) -> Limits:
    limit = timeout or _TIMEOUTS[acceleration]
    # Half of a short limit, so that silence and slowness are told apart there too.
    return Limits(limit, min(_SILENCE[acceleration], limit / 2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _smbios(value: str) -> tuple[str, str]:
    name, given, text = value.partition("=")
    if name not in _SMBIOS or not given:
        raise argparse.ArgumentTypeError(f"{value} is none of {', '.join(_SMBIOS)} with a value")
    return name, text


def _port(value: str) -> int:
    number = int(value)
    if not 1 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{value} is not a port (1 to {_LAST_PORT})")
    return number


def _seconds(value: str) -> float:
    number = float(value)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{value} is not a number of seconds above 0")
    return number


def _memory(value: str) -> int:
    number = int(value)
    if number < _LEAST_MEMORY:
        raise argparse.ArgumentTypeError(f"{value} MiB is too little (least: {_LEAST_MEMORY})")
    return number
