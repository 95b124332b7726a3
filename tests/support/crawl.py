"""A real client against the real server, at the real address, in a network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
LIMIT = 120


class Crawl(NamedTuple):
    """What a client printed as JSON, what it asked for, and what the server said.

    ``requests`` are ``METHOD path status`` in the order of the answers.
    """

    result: Any
    requests: list[str]


def crawl(
    folder: Path, description: str, client: Sequence[str], environment: Mapping[str, str]
) -> Crawl:
    """Serve ``description`` (YAML) to ``client``, which prints a line of JSON at its end."""
    instance, access = folder / "instance.yaml", folder / "access.log"
    instance.write_text(description, encoding="utf-8")
    serve = [sys.executable, "-m", "emulator", "serve", str(instance)]
    serve += ["--listen", "169.254.169.254:80", "--operator", "off"]
    serve += ["--access-log", str(access), "--state", str(folder / "state")]
    job = {"server": serve, "client": list(client), "environment": dict(environment)}
    inside = [sys.executable, str(Path(__file__).with_name("inside.py")), json.dumps(job)]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", *inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    entries = map(json.loads, access.read_text(encoding="utf-8").splitlines())
    requests = [f"{entry['method']} {entry['path']} {entry['status']}" for entry in entries]
    return Crawl(json.loads(done.stdout.splitlines()[-1]), requests)
