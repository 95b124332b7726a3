"""Finds out whether KVM works, by running a guest: its device may be there and be of no use.

On broken nested virtualisation QEMU dies, the guest crawls, or a kernel hangs while it unpacks
itself. So the guest here takes the first steps of firmware and kernel, and has a deadline.
"""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from emulator.boot.machine import Acceleration

# Five times of what it takes where KVM works. Where the host is a guest itself, without help from
# its processor, it takes two seconds or more, and such a KVM is slower than none.
DEADLINE = 1.0
SIZE = 1 << 20

# A boot sector, assembled from probe.S beside this file.
CODE = bytes.fromhex(
    "fa31c08ed88ec0fc9bdbe36631c0bf0010b9000c66f3abc70600100320c7"
    "0600200330c6060030830f20e00c200f22e066b8001000000f22d866b980"
    "0000c00f3280cc010f300f0116987c0f20c0660d010000800f22c0ea5c7c"
    "0800bed007000031c00fa2ffce75f8b91b0000000f320f30b9770200000f"
    "320f30b010e6f4f4ebfd660f1f440000000000000000000000000000009a"
    "20000f00887c0000"
)
# QEMU's exit status when the guest writes 0x10 to the debug port: twice that, plus one.
SUCCESS = 33


@cache
def accelerate(qemu: str, deadline: float = DEADLINE) -> Acceleration:
    """Give ``kvm`` if ``qemu`` runs a guest with it within ``deadline`` seconds, else ``tcg``."""
    kvm = Path("/dev/kvm")
    return "kvm" if kvm.exists() and runs(qemu, "kvm", "host", deadline) else "tcg"


def runs(qemu: str, acceleration: Acceleration, cpu: str, deadline: float) -> bool:
    """Tell whether the probing guest reaches its end within ``deadline`` seconds."""
    with tempfile.NamedTemporaryFile(prefix="imds-probe-") as disk:
        disk.write(CODE.ljust(510, b"\0") + b"\x55\xaa")
        disk.truncate(SIZE)
        disk.flush()
        command = [
            qemu,
            *("-machine", f"q35,accel={acceleration}"),
            *("-cpu", cpu, "-m", "16"),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
            *("-drive", f"if=ide,format=raw,file={disk.name}"),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=deadline,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return False
        return done.returncode == SUCCESS
