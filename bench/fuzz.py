"""Attacks a server with bytes that no client would send: ``python -m bench.fuzz``.

It ends with 1 and names the first input after which the server failed: a server's error that is
not documented, a line in its log, a connection that does not end, a normal request that is
answered otherwise than before, or memory that grew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.fuzz.hostile import hostile
from tests.fuzz.target import Finding, Target, attacked

# Until then it fills its caches: names, sessions, tokens, Python's own free lists.
_WARM = 0.1
_EVERY = 1000
# One in so many is sent once more before, by somebody who hangs up.
_ABANDONED = 6


def main() -> None:
    parser = argparse.ArgumentParser(description="hostile bytes on a real server's sockets")
    parser.add_argument("--inputs", type=int, default=100_000, help="connections (default 100000)")
    parser.add_argument("--seed", type=int, default=1, help="which inputs (default 1)")
    parser.add_argument("--growth", type=float, default=8, help="MiB that it may grow (default 8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, attacked(Path(folder)) as target:
        sys.exit(_run(target, options.inputs, options.seed, options.growth))


def _run(target: Target, inputs: int, seed: int, growth: float) -> int:
    started = time.monotonic()
    size, warm = 0, 0.0
    for number in range(inputs):
        chance = Random(f"{seed}:{number}")  # noqa: S311  chance, not secrecy
        data = hostile(chance)
        listener = target.listeners[max(0, chance.randrange(12) - 9)]
        size += len(data)
        try:
            if chance.randrange(_ABANDONED) == 0:
                target.abandon(data, listener)
            _ = target.attack(data, listener, chance.choice((0, 0, 0, chance.randrange(200))))
            if number % _EVERY == 0 or number == inputs - 1:
                target.check()
        except Finding as finding:
            print(f"input {number} to {listener}: {finding}\n{data!r}")
            return 1
        if number == int(inputs * _WARM):
            warm = target.memory()
    seconds = time.monotonic() - started
    grown = target.memory() - warm
    print(f"{inputs} inputs, {size / 2**20:.0f} MiB, seed {seed}, {seconds:.0f} s")
    counted = sorted(target.statuses.items())
    print("answers: " + ", ".join(f"{count} of {status}" for status, count in counted))
    print(f"memory: {warm:.1f} MiB after a tenth, {grown:+.1f} MiB since")
    return int(grown > growth)


if __name__ == "__main__":
    main()
