"""The sidecar as a container runtime starts it: rights, first process, folders, and no more."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.namespaces import PATIENCE, Namespace
from tests.support.readable import opened

FS_GROUP = 107
"""The group of a virt-launcher pod's volumes."""

CAPABILITIES = ("net_admin", "net_bind_service", "setgid", "setuid")
"""What the container that admission injects may do, of all that root may do elsewhere."""

# Only what a file in the pod says is believed; and what is measured must not be slowed down.
_FOREIGN = ("COVERAGE_", "IMDS_")


def volumes(
    folder: Path,
    annotations: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Lay out ``folder`` as the kubelet does for the sidecar: ``podinfo`` and ``state`` in it.

    ``files`` are further ones below ``podinfo`` (``tokens/token``), by their paths.
    """
    given = {
        "annotations": _downward(annotations),
        "labels": _downward(labels or {"vm.kubevirt.io/name": "vm1"}),
        "tokens/token": "not.a.jwt",
        **(files or {}),
    }
    for name, text in given.items():
        path = folder / "podinfo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    (folder / "state").mkdir()
    (folder / "state").chmod(0o2777)
    # The server is nobody in particular.
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and path.name != "state":
            path.chmod(0o755)
    return folder


def _downward(values: Mapping[str, str]) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return "".join(f"{key}={quoted(value)}\n" for key, value in values.items())


def _mounted(mounts: Mapping[str, Path]) -> list[str]:
    """Give the prefix of a command that sees ``mounts``, and can write to nothing else."""
    if not mounts:
        return []
    script = ["set -e", "mount -t tmpfs tmpfs /mnt"]
    script += [f"mkdir /mnt/{n}; mount --bind '{path}' /mnt/{n}" for n, path in
               enumerate(mounts.values())]  # fmt: skip
    # What a container has there is its image's; here it would be the machine's.
    script += [f"mount -t tmpfs tmpfs {place}" for place in ("/run", "/var/lib")]
    for number, place in enumerate(mounts):
        script.append(f"mkdir -p {place}; mount --bind /mnt/{number} {place}")
    script += ["mount -o remount,bind,ro /", 'exec "$@"']
    return ["unshare", "--mount", "sh", "-c", "\n".join(script), "sh"]


class Sidecar:
    """A running sidecar: the first process of its own process namespace, as in a container."""

    def __init__(
        self,
        pod: Namespace,
        folder: Path,
        arguments: tuple[str, ...] = (),
        *,
        env: Mapping[str, str] | None = None,
        user: int = 0,
        group: int | None = None,
        groups: tuple[int, ...] = (0, FS_GROUP),
        capabilities: tuple[str, ...] = CAPABILITIES,
        standard: bool = True,
        mounts: Mapping[str, Path] | None = None,
        program: Path | None = None,
    ) -> None:
        """Start it in ``pod`` as ``user`` with ``capabilities``.

        With ``standard`` the flags for ``folder`` (see ``volumes``) go before ``arguments``. With
        ``mounts``, folders by where they are in the container, its root is read-only. Without
        ``program`` it is the checkout's.
        """
        self._pod = pod
        self.lines: list[str] = []
        flags = [f"--podinfo={folder}/podinfo", f"--state={folder}/state"] if standard else []
        bounds = ",".join(["-all", *(f"+{name}" for name in capabilities)])
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)
        }
        rights = [
            f"--bounding-set={bounds}",
            "--inh-caps=-all",
            f"--reuid={user}",
            f"--regid={user if group is None else group}",
            f"--groups={','.join(map(str, groups))}",
        ]
        self.process = pod.start(
            *opened(folder),
            *_mounted(mounts or {}),
            *("unshare", "--pid", "--fork", "setpriv", "--no-new-privs", *rights),
            *([str(program)] if program else [sys.executable, "-m", "emulator"]),
            *("sidecar", *flags, *arguments),
            # One log, as of a container.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**clean, "PYTHONUNBUFFERED": "1", **(env or {})},
            # What stands in the current folder goes before what is installed.
            cwd=folder if program else Path(__file__).parents[2],
        )
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self.lines.append("")
            self._said.notify_all()

    def says(self, pattern: str) -> str:
        """Wait until it has written a line with ``pattern``; give that line."""

        def found() -> str:
            return next((line for line in self.lines if re.search(pattern, line)), "")

        with self._said:
            assert self._said.wait_for(lambda: found() or self.lines[-1:] == [""], PATIENCE)
            assert found(), self.lines
            return found()

    def waiting(self) -> Self:
        """Wait until it waits for a bridge."""
        self.says("waiting for the bridge")
        return self

    def listening(self) -> Self:
        """Wait until it serves."""
        self.says("^imds-emulator .* serves ")
        return self

    @functools.cached_property
    def pid(self) -> int:
        """The sidecar itself, which ``unshare`` has started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + PATIENCE
        while not (found := children.read_text().split()) and time.monotonic() < end:
            time.sleep(0.005)
        return int(found[0])

    def status(self) -> dict[str, str]:
        """Give what proc(5) says of it, as it is seen in the pod."""
        lines = self._pod.run("cat", f"/proc/{self.pid}/status").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def command(self) -> list[str]:
        """Give its command line as it is now."""
        return Path(f"/proc/{self.pid}/cmdline").read_text().rstrip("\0").split("\0")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """Ask it to end; give its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, however it is; with the first process all of a process namespace end."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
