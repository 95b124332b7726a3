from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.boot import fake_qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PATIENCE = 60


class Command:
    """Runs ``imds-emulator`` with a QEMU that is not one, in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.temporary = folder / "tmp"
        self.programs = folder / "bin"
        for made in (self.temporary, self.programs):
            made.mkdir()
        self.instance = folder / "web-1.yaml"
        self.instance.write_text("name: web-1\n")
        self.image = folder / "disk.img"
        self.image.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
        self.program("qemu-system-x86_64", f'exec {sys.executable} {fake_qemu.__file__} "$@"')
        self.environment = os.environ | {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "TMPDIR": str(self.temporary),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_STATE_HOME": str(folder / "xdg-state"),
            "PYTHONPATH": str(ROOT),
        }
        self.wrapper: list[str] = []
        # A kernel, so that no firmware is needed.
        self.kernel = ["--kernel", str(self.image)]
        self._running: list[subprocess.Popen[str]] = []

    def program(self, name: str, script: str) -> None:
        """Put a shell script on PATH."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, mode: str, *flags: str, instance: Path | None = None) -> subprocess.Popen[str]:
        """Start ``boot`` with a guest that behaves as ``mode``."""
        self.environment["FAKE_QEMU"] = mode
        command = [*self.wrapper, sys.executable, "-m", "emulator", "boot"]
        command += [str(self.image), *flags]
        command += ["--instance", str(instance or self.instance), "--state", str(self.state)]
        command += [] if "--kernel" in flags else self.kernel
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )
        self._running.append(process)
        return process

    def boot(self, mode: str, *flags: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run ``boot`` to its end."""
        process = self.start(mode, *flags, **more)
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, mode: str, *flags: str, **more: Any) -> dict[str, Any]:
        """Run ``boot`` and give its report, its exit status as ``exit``."""
        done = self.boot(mode, "--json", *flags, **more)
        assert done.stdout, done.stderr
        report: dict[str, Any] = msgspec.json.decode(done.stdout)
        return report | {"exit": done.returncode, "stderr": done.stderr}

    def leftovers(self) -> list[str]:
        """Name every process, socket and temporary file that a boot left behind."""
        files = [str(path) for path in self.temporary.iterdir()]
        home = self.state / "boot" / "web-1"
        if home.exists():
            files += [str(path) for path in home.glob("run.*")]
        return files + [line for line in self.processes() if line]

    def processes(self) -> list[str]:
        """Give the command lines that name our folder, but for those that we ourselves run."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in self._pids():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.folder).encode() in line:
                    found.append(line.replace(b"\0", b" ").decode())
        return found

    def wait_for(self, condition: Any) -> None:
        """Wait until ``condition()`` holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE)

    def _pids(self) -> set[int]:
        return {os.getpid(), *(process.pid for process in self._running if process.poll() is None)}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    # Short, for the sockets' sake; pytest's own folder may be deep.
    runner = Command(tmp_path)
    yield runner
    runner.close()
    shutil.rmtree(runner.state, ignore_errors=True)
