"""A fake of everything that the product asks of the outside world."""

from __future__ import annotations

from emulator.ports import Ports


class FakePorts:
    """A clock that a test moves, entropy that repeats, files that are a dict."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.set_by = 0.0  # seconds by which the wall clock was set
        self.files: dict[str, bytes] = {}
        self._drawn = 0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def random(self, size: int) -> bytes:
        """Give ``size`` bytes, other ones each time, the same in each run."""
        self._drawn += 1
        return self._drawn.to_bytes(8).rjust(size, b"\0")[-size:]

    def read(self, path: str) -> bytes:
        """Give a file's content, or fail as the real one does."""
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    @property
    def ports(self) -> Ports:
        """Give what the product is handed."""
        return Ports(
            wall=lambda: self.now + self.set_by,
            monotonic=lambda: self.now,
            random=self.random,
            read=self.read,
        )
