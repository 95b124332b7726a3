"""Stands in for QEMU: shows a console, asks as a guest does, and ends as FAKE_QEMU says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

OPENSTACK = "DataSourceOpenStackLocal [net,ver=2]"
FINAL = "Cloud-init v. 22.4.2 finished at now. Datasource {}.  Up 9.99 seconds\n"


def value(pattern: str) -> str:
    found = re.search(pattern, "\n".join(sys.argv))
    assert found, pattern
    return found[1].replace(",,", ",")


def show(text: str) -> None:
    with Path(value(r"file,id=console,path=(.*)")).open("a") as console:
        console.write(text)


def request(path: str, address: str = "169.254.169.254") -> bytes:
    bridge = shlex.split(value(rf"{address}:80-cmd:(.*?)(?:,(?:guest|host)fwd.*)?\n"))
    head = f"GET {path} HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n".encode()
    return subprocess.run(bridge, input=head, capture_output=True, check=True).stdout


def linger() -> None:
    time.sleep(600)


def flush(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    time.sleep(0.5)
    show("flushed\n")
    sys.exit(0)


def ask() -> None:
    answer = request("/openstack")
    assert b" 200 " in answer, answer


def finish(datasource: str) -> None:
    show(FINAL.format(datasource))


def die() -> None:
    sys.stderr.write("qemu: could not open the thing\n")
    sys.exit(1)


def panic() -> None:
    show("Kernel panic - not syncing: no working init found\n")
    linger()


def power_off() -> None:
    show("reboot: Power down\n")


def good() -> None:
    ask()
    finish(OPENSTACK)


def azure() -> None:
    answer = request("/machine?comp=goalstate", "168.63.129.16")
    assert b" 200 " in answer, answer
    answer = request("/machine?comp=goalstate")
    assert b" 404 " in answer, answer
    finish("DataSourceAzure [seed=IMDS]")


def stuck() -> None:
    ask()
    linger()


def errors() -> None:
    ask()
    show("x - util.py[WARNING]: Running module runcmd (<module 'x'>) failed\n")
    finish(OPENSTACK)
    linger()


def wrong() -> None:
    ask()
    finish("DataSourceNone")
    linger()


def stays() -> None:
    good()
    linger()


MODES = {
    "azure": azure,
    "die": die,
    "errors": errors,
    "good": good,
    "panic": panic,
    "powers-off": power_off,
    "silent": linger,
    "stays": stays,
    "stuck": stuck,
    "wrong": wrong,
}


def main() -> int:
    if "--version" in sys.argv:
        version = os.environ.get("FAKE_QEMU_VERSION", "7.2.22 (Debian)")
        sys.stdout.write(f"QEMU emulator version {version}\n")
        return 0
    if "isa-debug-exit,iobase=0xf4,iosize=1" in sys.argv:
        return 1
    mode = os.environ["FAKE_QEMU"]
    signal.signal(signal.SIGTERM, flush)
    if mode != "die":
        show("Linux version 6.1.0 (x)\n")
    MODES[mode]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
