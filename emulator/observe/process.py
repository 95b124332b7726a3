"""What the kernel says of this process, under the names that all Prometheus clients use."""

from __future__ import annotations

import os
import resource
from pathlib import Path

# Fields of /proc/self/stat after the program's name, which may hold spaces (proc(5): 22, 23).
_START, _VIRTUAL, _RESIDENT = 19, 20, 21


def figures() -> dict[str, float]:
    """Give memory in bytes, processor time and start in seconds, descriptors, by metric name."""
    stat = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    kernel = Path("/proc/stat").read_text("ascii", "replace")
    booted = next(line for line in kernel.splitlines() if line.startswith("btime "))
    times = os.times()
    return {
        "process_cpu_seconds_total": times.user + times.system,
        "process_start_time_seconds": (
            int(booted.split()[1]) + int(stat[_START]) / os.sysconf("SC_CLK_TCK")
        ),
        "process_resident_memory_bytes": int(stat[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE"),
        "process_virtual_memory_bytes": int(stat[_VIRTUAL]),
        "process_open_fds": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }
