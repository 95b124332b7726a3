"""What a process listens on, as the kernel sees it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def sockets(pid: int) -> set[str]:
    """Give the inodes of the sockets that a process holds."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # It may have closed it since, such as a file that it read.
        with suppress(FileNotFoundError):
            links.append(str(link.readlink()))
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}


def tcp_listeners(pid: int) -> set[str]:
    """Give the inodes of the TCP sockets on which a process listens."""
    listening = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == _LISTEN
    }
    return sockets(pid) & listening


def serving(words: str) -> list[int]:
    """Give the processes of ``serve`` whose command line has these words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if " serve " in line and words in line:
                found.append(int(entry.name))
    return found
