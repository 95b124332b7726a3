"""What ``serve`` takes at rest and to its first answer: ``python -m bench.footprint``.

One minimal instance whose token is in a file, so that nothing is signed, beside a bare Tornado
HTTP server in the same run. The wheel is what people install: it is built here, put into a virtual
environment, and has its templates and all modules compiled; the checkout compiles its templates
at each start.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement

from bench.measure import (
    OURS,
    ROOT,
    Address,
    Client,
    free_address,
    reference_command,
    serve_command,
    spread,
    started,
    table,
)

BARE, CHECKOUT, WHEEL = "bare Tornado server", "ours, checkout", "ours, wheel"
PATH = "/latest/meta-data/instance-id"
SETTLE = 1.5

Starter = Callable[[Address], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description="memory at rest, and time to the first answer")
    parser.add_argument("--rounds", type=int, default=11, help="starts of each")
    parser.add_argument("--no-wheel", action="store_true", help="leave the wheel out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        starters = _starters(Path(folder), wheel=not options.no_wheel)
        found: dict[str, list[_Sample]] = {name: [] for name in starters}
        for number in range(options.rounds + 1):
            for name, starter in starters.items():
                sample = _start(starter)
                if number:  # the first start fills the page cache and writes .pyc files
                    found[name].append(sample)
        _show(found)


def _starters(folder: Path, *, wheel: bool) -> dict[str, Starter]:
    instance = folder / "minimal.yaml"
    instance.write_text("name: web-1\ntokens:\n  - file: token\n")
    (folder / "token").write_text("a.b.c")
    state = folder / "state"

    def bare(address: Address) -> list[str]:
        return reference_command("bare", address, 100)

    def ours(program: Sequence[str]) -> Starter:
        return lambda address: serve_command(instance, state, address, program=program, limits=())

    starters = {BARE: bare, CHECKOUT: ours(OURS)}
    if wheel:
        starters[WHEEL] = ours([str(installed_wheel(folder) / "imds-emulator")])
    return starters


def installed_wheel(folder: Path, *further: str) -> Path:
    """Build the wheel and install it as a user would; give the folder of its commands.

    ``further`` are packages of its extras.
    """
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    target = folder / "venv"
    venv.create(target, symlinks=True)
    [site] = target.glob("lib/python*/site-packages")
    _link_dependencies(site, *further)
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin/python"), "install"]
    install = [*pip, "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target / "bin"


def _link_dependencies(site: Path, *further: str) -> None:
    """Link what the product depends on, and nothing else, from this environment to ``site``.

    What happens to be installed beside it changes what it loads: msgspec, for one, takes
    ``typing_extensions`` when it is there.
    """
    names, done = ["imds-emulator", *further], set[str]()
    while names:
        name = names.pop()
        if name not in done:
            done.add(name)
            requirements = map(Requirement, distribution(name).requires or ())
            names += [r.name for r in requirements if not r.marker or r.marker.evaluate()]
    for name in done - {"imds-emulator"}:
        found = distribution(name)
        for part in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            (site / part).symlink_to(Path(str(found.locate_file(part))))


class _Sample:
    """One start: seconds to the first answer, CPU seconds until then, MiB at rest."""

    def __init__(self, wall: float, cpu: float, memory: float) -> None:
        self.wall = wall
        self.cpu = cpu
        self.memory = memory


def _start(starter: Starter) -> _Sample:
    address = free_address()
    before = time.monotonic()
    with started(starter(address), address) as server:
        server.wait()
        Client(address, PATH).once()
        wall, cpu = time.monotonic() - before, server.cpu()
        time.sleep(SETTLE)
        return _Sample(wall, cpu, server.memory())


def _show(found: dict[str, list[_Sample]]) -> None:
    base = median(sample.memory for sample in found[BARE])
    rows = []
    for name, samples in found.items():
        memory = [sample.memory for sample in samples]
        rows.append(
            (
                name,
                spread(memory, 1),
                f"{median(memory) - base:+.1f}",
                spread([sample.cpu * 1000 for sample in samples]),
                spread([sample.wall * 1000 for sample in samples]),
                f"{min(sample.wall for sample in samples) * 1000:.0f}",
            )
        )
    head = (
        "at rest, one instance",
        "RSS MiB",
        "above bare",
        "CPU ms to answer",
        "wall ms",
        "best",
    )
    table(head, *rows)


if __name__ == "__main__":
    main()
