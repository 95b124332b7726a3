"""How far a download is: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

WIDTH = 30
MIB = 1 << 20


class Bar:
    """Writes progress to ``stream``; as a context manager it ends the line it wrote on."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self._stream = stream
        self._live = stream.isatty()
        self._shown = -1

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End a line that is still open."""
        if self._live and self._shown >= 0:
            self._stream.write("\n")

    def show(self, done: int, total: int) -> None:
        """Show ``done`` of ``total`` bytes (0: unknown), if that changes what is seen."""
        step = done * 100 // total if total else done // MIB
        if not self._live:
            step -= step % 10
        if step == self._shown:
            return
        self._shown = step
        self._stream.write(line(done, total, live=self._live))
        self._stream.flush()


def line(done: int, total: int, *, live: bool) -> str:
    """Give the text for one state, ready to be written."""
    size = f"{done / MIB:.1f} MiB"
    if total:
        filled = min(WIDTH, done * WIDTH // total)
        bar = "#" * filled + "." * (WIDTH - filled)
        size = f"[{bar}] {done * 100 // total:3}% of {total / MIB:.1f} MiB"
    return f"\r{size}" if live else f"{size}\n"
