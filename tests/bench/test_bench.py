"""Each benchmark runs and prints its table; sizes this small measure nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALUE = r"-?[0-9,.]+"
SPREAD = rf"{VALUE} \[{VALUE}-{VALUE}\]"


def printed(name: str, *arguments: str) -> list[str]:
    """Run a benchmark; give the lines that it printed."""
    command = [sys.executable, "-m", f"bench.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def row(lines: list[str], name: str, *columns: str) -> None:
    """Check that there is a row ``name`` with exactly ``columns`` (regular expressions)."""
    pattern = r" +".join((re.escape(name), *columns))
    assert any(re.fullmatch(pattern, line) for line in lines), "\n".join(lines)


def test_request_cost() -> None:
    lines = printed("request_cost", "--rounds", "2", "--count", "3")
    assert re.fullmatch(r"GET /openstack/\S+, \d+ bytes of body", lines[0])
    for mode in ("keep alive", "new connections"):
        start = next(number for number, line in enumerate(lines) if line.startswith(mode))
        for name in (
            "bare delegate",
            "tornado.web handler",
            "ours, unobserved",
            "ours, metrics",
            "ours, metrics and audit",
        ):
            row(lines[start : start + 7], name, *[SPREAD] * 4)


def test_session_cost() -> None:
    lines = printed("session_cost", "--rounds", "2", "--count", "3")
    for mode, names in (
        ("keep alive", ("GET without token", "GET, token checked")),
        ("new connections", ("GET without token", "GET, token checked", "PUT for a token")),
    ):
        start = next(number for number, line in enumerate(lines) if line.startswith(mode))
        for name in names:
            row(lines[start : start + 5], name, SPREAD, SPREAD)


def test_scrape() -> None:
    lines = printed("scrape", "--machines", "3", "--seconds", "0.5")
    row(lines, "no metrics", *[VALUE] * 6)
    row(lines, "metrics", *[VALUE] * 6)
    scraped = re.compile(r"scraped every 0.25 s, peak [-+][0-9.]+ MiB +[0-9]")
    assert any(map(scraped.match, lines))


def test_footprint() -> None:
    lines = printed("footprint", "--rounds", "1")
    for name in ("bare Tornado server", "ours, checkout", "ours, wheel"):
        row(lines, name, SPREAD, r"[-+][0-9.]+", SPREAD, SPREAD, VALUE)


def test_scale() -> None:
    lines = printed("scale", "--sizes", "1", "200", "--count", "3")
    row(lines, "1", VALUE, SPREAD, SPREAD, SPREAD)
    row(lines, "200", VALUE, VALUE, VALUE, SPREAD, SPREAD, SPREAD)


def test_waiting() -> None:
    lines = printed("waiting", "--waiters", "1", "120", "--rounds", "2", "--count", "3")
    row(lines, "1", SPREAD, SPREAD, SPREAD, SPREAD)
    row(lines, "120", VALUE, VALUE, SPREAD, SPREAD, SPREAD, SPREAD)
    for name in ("a leaf", "the whole tree, recursive"):
        row(lines, name, VALUE, SPREAD, SPREAD)


def test_fuzz() -> None:
    lines = printed("fuzz", "--inputs", "300", "--seed", "7")
    assert re.fullmatch(rf"300 inputs, {VALUE} MiB, seed 7, {VALUE} s", lines[0])
    assert re.match(r"answers: .*\d+ of 200, \d+ of 400", lines[1])
    assert re.fullmatch(rf"memory: {VALUE} MiB after a tenth, [-+]{VALUE} MiB since", lines[2])


def test_soak() -> None:
    """A little of it, which ends with 1 for any request that fails or line that is unexpected."""
    size = ("--minutes", "0.15", "--row", "3", "--capacity", "2", "--growth", "64")
    lines = printed("soak", *size)
    rows = [line for line in lines if re.fullmatch(rf" *{VALUE}(  +{VALUE}){{8}}", line)]
    assert len(rows) >= 3
    assert re.fullmatch(
        rf"that is {VALUE} MiB; errors: 0; exit status 0", lines[-1].replace("+", "")
    )


def test_reliability() -> None:
    size = ("--kills", "1", "--idle", "50", "--rounds", "1", "--seconds", "0.1")
    lines = printed("reliability", *size)
    row(lines, "sockets held, again at once", VALUE, VALUE, VALUE, VALUE, SPREAD)
    row(lines, "sockets lost, again after 1 s", VALUE, VALUE, VALUE, VALUE, SPREAD)
    row(lines, "50", VALUE, "50", SPREAD, SPREAD)
    row(lines, "slow readers", *[SPREAD] * 4, VALUE)


@pytest.mark.client
@pytest.mark.namespace
def test_crawl() -> None:
    lines = printed("crawl", "--rounds", "1", "--releases", "current")
    share = rf"{SPREAD} %"
    row(lines, "cloud-init of current", r"\d+", SPREAD, SPREAD, share, SPREAD, SPREAD, share)


@pytest.mark.namespace
def test_sidecar() -> None:
    lines = printed("sidecar", "--rounds", "2")
    for name in ("start to waiting", "tap to first answer"):
        row(lines, name, SPREAD, SPREAD, SPREAD)
    assert lines[-2].startswith("1000 VMs: ")
