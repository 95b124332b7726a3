"""Lets a user without rights read the interpreter and the checkout, wherever they are.

A container's user can; on a developer's machine both may be in a home that is closed to others.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def opened(*further: Path) -> list[str]:
    """Give the prefix of a command that runs as root, in its own mounts if that is necessary."""
    needed = {Path(sys.base_prefix), Path(sys.prefix), ROOT, *further}
    by_closed: dict[Path, set[Path]] = {}
    for path in {path.resolve() for path in needed} | {path.absolute() for path in needed}:
        closed = next(filter(_is_closed, reversed(path.parents)), None)
        if closed is not None:
            by_closed.setdefault(closed, set()).add(path)
    if not by_closed:
        return []
    script = "\n".join(["set -e", *_steps(by_closed), 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def _is_closed(folder: Path) -> bool:
    return not folder.stat().st_mode & stat.S_IXOTH


def _steps(by_closed: dict[Path, set[Path]]) -> Iterable[str]:
    """Put an open folder in the place of each closed one, with only what is needed in it."""
    for closed, paths in by_closed.items():
        kept = {path: f"/mnt/{number}" for number, path in enumerate(_outermost(paths))}
        yield "mount -t tmpfs -o mode=755 tmpfs /mnt"
        for path, place in kept.items():
            yield f"mkdir {place}; mount --bind '{path}' {place}"
        yield f"mount -t tmpfs -o mode=755 tmpfs '{closed}'"
        for path, place in kept.items():
            yield f"mkdir -p '{path}'; mount --bind {place} '{path}'"


def _outermost(paths: set[Path]) -> list[Path]:
    return sorted(path for path in paths if not paths.intersection(path.parents))
