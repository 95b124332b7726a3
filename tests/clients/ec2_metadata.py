"""Runs ``ec2-metadata`` with each option that is named; prints what it printed, as JSON."""

from __future__ import annotations

import json
import subprocess
import sys


def main() -> None:
    said = {}
    for option in sys.argv[1:]:
        done = subprocess.run(
            ["ec2-metadata", *option.split()], capture_output=True, text=True, check=False
        )
        said[option] = [done.returncode, done.stdout]
    print(json.dumps(said))  # noqa: T201  its result


if __name__ == "__main__":
    main()
