"""The server's share of cloud-init's whole OpenStack crawl: ``python -m bench.crawl``.

cloud-init's own data source class, of the releases that the tests use, asks the running server at
the real address, in a network namespace. The share is given twice. By the audit log: the time
from a request's head to its answer, of the whole wall time; a busy machine falsifies it, as it
interrupts both. By CPU time: all that the server used meanwhile, with what Tornado and the kernel
do before and after, of the sum that both used; one waits for the other, so on an idle machine that
sum is the wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from bench.measure import ROOT, Failure, serve_command, spread, started, table
from emulator.observe.audit import read
from tests.support.cloudinit_source import Release, python, unpack
from tests.support.guest import COMPLETE

ADDRESS = ("169.254.169.254", 80)
CLIENT = ROOT / "tests/clients/cloud_init.py"


class _Sample(msgspec.Struct):
    """One crawl, in seconds: wall, the server's by its log, CPU of client and server."""

    seconds: float
    logged: list[float]
    client: float
    server: float


def main() -> None:
    parser = argparse.ArgumentParser(description="the server's share of cloud-init's crawl")
    parser.add_argument("--rounds", type=int, default=11, help="crawls by each release")
    parser.add_argument("--releases", nargs="+", default=get_args(Release))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _inside(options.releases, options.rounds)
        return
    for release in options.releases:  # made now: inside there is no network
        python(release)
        unpack(release)
    unshare = ["unshare", "--map-root-user", "--net", sys.executable, "-m", "bench.crawl"]
    done = subprocess.run([*unshare, "--inside", *sys.argv[1:]], cwd=ROOT, check=False)
    sys.exit(done.returncode)


def _inside(releases: Sequence[Release], rounds: int) -> None:
    """Measure, in a network namespace of its own."""
    for arguments in (["link", "set", "lo", "up"], ["addr", "add", ADDRESS[0], "dev", "lo"]):
        subprocess.run(["ip", *arguments], check=True)
    head = ("crawl by", "requests", "wall ms", "us/request by log", "share")
    table(
        (*head, "client CPU ms", "server CPU ms", "share"),
        *(_row(release, rounds) for release in releases),
    )


def _row(release: Release, rounds: int) -> tuple[str, ...]:
    samples = [_crawl(release) for _ in range(rounds)]
    by_log = [sum(each.logged) / each.seconds * 100 for each in samples]
    logged = [seconds * 1e6 for each in samples for seconds in each.logged]
    by_cpu = [each.server / (each.server + each.client) * 100 for each in samples]
    return (
        f"cloud-init of {release}",
        "/".join(map(str, sorted({len(each.logged) for each in samples}))),
        spread([each.seconds * 1e3 for each in samples]),
        spread(logged),
        spread(by_log, 1) + " %",
        spread([each.client * 1e3 for each in samples]),
        spread([each.server * 1e3 for each in samples], 1),
        spread(by_cpu, 1) + " %",
    )


def _crawl(release: Release) -> _Sample:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        instance, log = folder / "vm.yaml", folder / "audit.jsonl"
        instance.write_text(COMPLETE)
        serve = serve_command(instance, folder / "state", ADDRESS, str(log))
        with started(serve, ADDRESS) as server:
            server.wait()
            server.settle()
            before = server.cpu()
            seconds, client = _client(release, folder)
            spent = server.cpu() - before
        # What ended has written all of its lines.
        lines = [line for line in map(read, log.open("rb")) if line is not None]
        logged = [line.duration / 1e9 for line in lines]
        return _Sample(seconds, logged, client, spent)


def _client(release: Release, folder: Path) -> tuple[float, float]:
    """Let cloud-init look for its data; give the seconds that this took, wall and CPU."""
    job = {
        "module": "DataSourceOpenStack",
        "name": "DataSourceOpenStack",
        "config": {"OpenStack": {}},
        "dmi": {"chassis-asset-tag": "OpenStack Nova"},
        "cmdline": "",
        "nics": {f"52:54:00:00:00:0{number}": f"enp{number}s0" for number in (1, 2, 3)},
        "folder": str(folder / "cloud"),
    }
    (folder / "cloud").mkdir()
    done = subprocess.run(
        [str(python(release)), str(CLIENT), json.dumps(job)],
        env={**os.environ, "PYTHONPATH": str(unpack(release))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failure(done.stderr)
    result = json.loads(done.stdout.splitlines()[-1])
    if not result["loaded"]:
        raise Failure(f"cloud-init found nothing: {result['warnings']}")
    return result["seconds"], result["cpu_seconds"]


if __name__ == "__main__":
    main()
