"""A real client against the real server, at the real address, in a network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emulator.boot.images.build import privilege
from tests.support import audited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
LIMIT = 120
_PROCESSES = ("--pid", "--fork", "--kill-child")


class Crawl(NamedTuple):
    """What a client printed as JSON, what it asked for, and what the server said.

    ``requests`` are ``METHOD path status`` in the order of the answers.
    """

    result: Any
    requests: list[str]


def crawl(
    folder: Path,
    description: str,
    client: Sequence[str],
    environment: Mapping[str, str],
    *,
    operator: str = "off",
    options: Sequence[str] = (),
    names: Sequence[str] = (),
    users: bool = False,
    addresses: Sequence[str] = (),
) -> Crawl:
    """Serve ``description`` (YAML) to ``client``, which prints a line of JSON at its end.

    ``operator`` is the operator's address in the namespace, ``options`` are further ones of
    ``emulator serve``. With ``names``, these are in the namespace's ``/etc/hosts`` for the
    server's address, and its ``/sys``, which tells what this machine is, is empty. With ``users``
    the client can be other users than root, and its processes end with it. ``addresses`` are
    further ones of the namespace, for ``options`` to name.
    """
    instance, audit = folder / "instance.yaml", folder / "audit.jsonl"
    instance.write_text(description, encoding="utf-8")
    serve = [sys.executable, "-m", "emulator", "serve", str(instance)]
    serve += ["--listen", "169.254.169.254:80", "--operator", operator, *options]
    serve += ["--audit", str(audit), "--state", str(folder / "state")]
    job: dict[str, Any] = {"server": serve, "client": list(client)}
    job |= {"environment": dict(environment), "hosts": "", "addresses": list(addresses)}
    unshare = ["unshare", "--map-root-user", "--net"]
    if users:
        unshare = [*(privilege().prefix or ("unshare",)), "--net", *_PROCESSES]
    if names:
        hosts = folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n169.254.169.254 {' '.join(names)}\n")
        job["hosts"] = str(hosts)
        unshare.append("--mount")
    inside = [sys.executable, str(Path(__file__).with_name("inside.py")), json.dumps(job)]
    done = subprocess.run(
        [*unshare, *inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    entries = audited.lines(audit)
    requests = [f"{entry['method']} {entry['path']} {entry['status']}" for entry in entries]
    return Crawl(json.loads(done.stdout.splitlines()[-1]), requests)
