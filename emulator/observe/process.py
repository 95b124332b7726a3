"""What the kernel says of this process, under the names that all Prometheus clients use."""

from __future__ import annotations

import os
import resource
from functools import cache
from pathlib import Path

# Fields of /proc/self/stat after the program's name, which may hold spaces (proc(5): 22, 23).
_START, _VIRTUAL, _RESIDENT = 19, 20, 21


def figures() -> dict[str, float]:
    """Give memory in bytes, processor time and start in seconds, descriptors, by metric name."""
    stat = _stat()
    times = os.times()
    return {
        "process_cpu_seconds_total": times.user + times.system,
        "process_start_time_seconds": _started(),
        "process_resident_memory_bytes": int(stat[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE"),
        "process_virtual_memory_bytes": int(stat[_VIRTUAL]),
        "process_open_fds": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - there may be many
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def _stat() -> list[str]:
    return Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()


@cache
def _started() -> float:
    # A line for each processor makes it a long file.
    kernel = Path("/proc/stat").read_text("ascii", "replace")
    booted = next(line for line in kernel.splitlines() if line.startswith("btime "))
    return int(booted.split()[1]) + int(_stat()[_START]) / os.sysconf("SC_CLK_TCK")
