"""Says one thing to a running QEMU: press the power button (QEMU Machine Protocol)."""

from __future__ import annotations

import socket
from pathlib import Path

_COMMANDS = b'{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n'
_ANSWERS = 3
_TIMEOUT = 5.0


def press_power_button(monitor: Path) -> bool:
    """Ask the guest to shut down; False when QEMU cannot be reached."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as qemu:
            qemu.settimeout(_TIMEOUT)
            qemu.connect(str(monitor))
            qemu.sendall(_COMMANDS)
            with qemu.makefile("rb") as answers:
                # The greeting and an answer to each command: leaving earlier would drop the last.
                for _ in range(_ANSWERS):
                    answers.readline()
    except OSError:
        return False
    return True
