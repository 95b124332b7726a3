"""Runs Google's guest agent, or its startup script runner, in a file system of its own.

Its argument is a JSON object: ``archive`` (of that file system), ``folder`` to mount it in,
``program`` and its ``arguments``, ``instance`` (the description that is served), and ``changes``
to it: each with its ``text``, and which keys the user ``ada`` then ``has``. Prints as JSON what
became of each change, the program's log, and what it asked for. Needs the checkout on PYTHONPATH.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.wire import Wire

PATIENCE = 60
WAITING = r"wait_for_change=true.*last_etag=[0-9a-f]{16}"
DEVICES = ("null", "urandom")
# Users and files are its business, the machine's clock (hwclock) and kernel are not.
ALLOWED = "-all,+chown,+dac_override,+fowner,+fsetid,+setgid,+setuid,+kill,+net_admin,+sys_chroot"


def main() -> None:
    job = json.loads(sys.argv[1])
    root = Path(job["folder"])
    build(root, job["archive"])
    log = root / "log"
    confined = ["setpriv", f"--bounding-set={ALLOWED}", "chroot", str(root)]
    with Wire() as wire, log.open("wb") as file:
        program = subprocess.Popen(
            [*confined, job["program"], *job["arguments"]],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        if job["changes"]:
            wire.wait(WAITING, PATIENCE)
        done = [change(job["instance"], root, **each) for each in job["changes"]]
        if job["changes"]:
            program.send_signal(signal.SIGTERM)
        status = program.wait(PATIENCE)
    result = {"changes": done, "status": status, "log": log.read_text(), "lines": wire.lines}
    print(json.dumps({**result, **state(root)}))  # noqa: T201  its result


def build(root: Path, archive: str) -> None:
    """Unpack the archive in memory; of devices give it what does no harm."""
    root.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=1g", "none", str(root))
    run("tar", "--extract", "--file", archive, "--directory", str(root), "--exclude=./dev/*")
    for device in DEVICES:
        (root / "dev" / device).touch()
        run("mount", "--bind", f"/dev/{device}", str(root / "dev" / device))
    (root / "etc/hosts").write_bytes(Path("/etc/hosts").read_bytes())


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def change(instance: str, root: Path, text: str, has: list[str]) -> Any:
    """Change the description, as an editor does, and wait until the user has its keys."""
    start = time.monotonic()
    new = Path(f"{instance}.new")
    new.write_text(text)
    new.replace(instance)
    while keys(root) != has and time.monotonic() < start + PATIENCE:
        time.sleep(0.02)
    return {"keys": keys(root), "seconds": time.monotonic() - start}


def keys(root: Path) -> list[str]:
    """Give the lines that let the user log in."""
    file = root / "home/ada/.ssh/authorized_keys"
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if not line.startswith("#")]


def state(root: Path) -> dict[str, Any]:
    """Give what else the programs should have left behind."""
    file = root / "home/ada/.ssh/authorized_keys"
    users = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    said = root / "said"
    return {
        "users": {name: [int(uid), home] for name, _, uid, _, _, home, _ in users},
        "mode": oct(file.stat().st_mode & 0o777) if file.exists() else "",
        "owner": file.stat().st_uid if file.exists() else None,
        "host_keys": sorted(
            " ".join(path.read_text().split()[:2])
            for path in (root / "etc/ssh").glob("ssh_host_*.pub")
        ),
        "said": said.read_text() if said.exists() else "",
    }


if __name__ == "__main__":
    main()
