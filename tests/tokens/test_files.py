"""``emulator.tokens.files``: no half-written token is ever served."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Self

import msgspec
import pytest

from emulator.core.message import ServiceToken
from emulator.errors import TokenUnavailable
from emulator.ports import SYSTEM, Ports
from emulator.tokens.files import LIMIT, TokenFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# As if every file had been written an hour ago.
LATER: Ports = msgspec.structs.replace(SYSTEM, wall=lambda: time.time() + 3600)


def read(path: Path, ports: Ports = LATER) -> ServiceToken:
    return asyncio.run(TokenFiles(ports).read(str(path)))


def part(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def make_token(number: int, padding: int = 0) -> str:
    """Make a token whose every part carries ``number``, so that a mixture of two shows."""
    claims = {"exp": number, "pad": "x" * padding}
    header = part(b'{"alg":"RS256","kid":"%d"}' % number)
    return f"{header}.{part(msgspec.json.encode(claims))}.{part(number.to_bytes(4) * 64)}"


def test_a_token_is_given_trimmed_with_its_end(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"\n {make_token(1_900_000_000)}\n\n")
    assert read(path) == ServiceToken(make_token(1_900_000_000), 1_900_000_000.0)


@pytest.mark.parametrize("text", ["opaque", "not.a.jwt", "with space", "ünïcode"])
def test_a_token_of_unknown_inside_has_no_end(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    assert read(path) == ServiceToken(text, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no whole token"),
        (b" \n", "holds no whole token"),
        (make_token(7)[:-400].encode(), "holds no whole token"),
        (b"\xff\xfe", "holds no whole token"),
        (b"\0" * 700, "holds no whole token"),
        (b"a\nb", "holds no whole token"),
        (b"x" * (LIMIT + 1), f"larger than {LIMIT} bytes"),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(TokenUnavailable) as caught:
        read(path)
    assert str(caught.value) == f"{path}: {reason}"


def test_the_largest_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"x" * LIMIT)
    assert read(path).token == "x" * LIMIT


def test_a_missing_file_is_looked_for_again_and_then_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenUnavailable, match="No such file or directory"):
        read(tmp_path / "token")


def test_a_file_that_appears_while_it_is_looked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"

    async def scenario() -> ServiceToken:
        reading = asyncio.gather(TokenFiles(LATER).read(str(path)))
        await asyncio.sleep(0.001)
        path.write_text("late")
        return (await reading)[0]

    assert asyncio.run(scenario()).token == "late"


def test_folders_pipes_and_sockets_neither_block_nor_count(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        for path in (tmp_path, tmp_path / "pipe", tmp_path / "sock"):
            with pytest.raises(TokenUnavailable):
                read(path)


def test_a_file_just_written_waits_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for text, quiet in ((make_token(5), 0.05), ("opaque", 0.25)):
        path.write_text(text)
        start = time.monotonic()
        assert read(path, SYSTEM).token == text
        # A kernel stamps files with a clock that ticks every few milliseconds.
        assert time.monotonic() - start > quiet - 0.02


def test_a_stamp_from_a_clock_ahead_of_ours_only_delays(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(make_token(5))
    behind = msgspec.structs.replace(SYSTEM, wall=lambda: time.time() - 3600)
    assert read(path, behind).token == make_token(5)


def test_a_clock_that_stands_still_does_not_hold_a_request_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(make_token(5))
    still = msgspec.structs.replace(SYSTEM, wall=lambda: 0.0, monotonic=lambda: 0.0)
    with pytest.raises(TokenUnavailable, match="still being written"):
        read(path, still)


def test_a_change_during_the_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("before")
    real = os.read
    reads = 0

    def slow(descriptor: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        data = real(descriptor, size)
        if reads == 1:
            path.write_text("after it")
        return data

    monkeypatch.setattr(os, "read", slow)
    assert read(path).token == "after it"
    assert reads == 2


class Readers:
    """Twenty guests that ask for one file's token as often as they can."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._good = {make_token(number, number * 37) for number in range(1, 10)}
        self.reads = 0
        self.refused = 0
        self.torn = 0

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        files = TokenFiles(SYSTEM)
        await asyncio.gather(*(self._read_until(end, files) for _ in range(20)))

    async def _read_until(self, end: float, files: TokenFiles) -> None:
        while time.monotonic() < end:
            self.reads += 1
            try:
                self.torn += (await files.read(self._path)).token not in self._good
            except TokenUnavailable:
                self.refused += 1
            await asyncio.sleep(0)


class Writer:
    """Rewrites a file with one token after another; knows its longest pause within one."""

    def __init__(self, write: Callable[[int], Iterator[None]]) -> None:
        """Go through ``write``, which yields after each of its steps."""
        self._write = write
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.pause = 0.0

    def __enter__(self) -> Self:
        self._once(1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 1
        while not self._stop.is_set():
            number = number % 9 + 1
            self._once(number)

    def _once(self, number: int) -> None:
        last = time.monotonic()
        for _ in self._write(number):
            now = time.monotonic()
            self.pause = max(self.pause, now - last)
            last = now


def hammer(path: Path, write: Callable[[int], Iterator[None]], rest: float) -> tuple[int, int]:
    """Read ``path`` while it is written with ``rest`` between tokens; give reads and refusals.

    A machine so busy that the writer is kept from its work for long is no test of the rule, which
    says that such a writer counts as done: then it is tried again.
    """

    def write_and_rest(number: int) -> Iterator[None]:
        yield from write(number)
        time.sleep(rest)

    for _ in range(10):
        readers = Readers(path)
        with Writer(write_and_rest) as writer:
            asyncio.run(readers.run(1.5))
        if writer.pause < 0.04:
            assert readers.torn == 0
            return readers.reads, readers.refused
    pytest.fail("this machine is too busy for a test of time")


@pytest.mark.parametrize("rest", [0.15, 0.01, 0.0])
def test_the_kubelets_swap_is_never_torn_and_never_refused(tmp_path: Path, rest: float) -> None:
    (tmp_path / "token").symlink_to("..data/token")
    made = 0

    def swap(number: int) -> Iterator[None]:
        nonlocal made
        made += 1
        folder = tmp_path / f"..{made}"
        folder.mkdir()
        (folder / "token").write_text(make_token(number, number * 37))
        fresh = tmp_path / "..data_tmp"
        fresh.symlink_to(folder.name)
        old = tmp_path / "..data"
        previous = old.resolve() if old.exists() else None
        fresh.rename(old)
        if previous is not None:
            (previous / "token").unlink()
            previous.rmdir()
        yield

    reads, refused = hammer(tmp_path / "token", swap, rest)
    assert refused == 0
    assert reads > (1000 if rest > 0.1 else 100)


@pytest.mark.parametrize("rest", [0.01, 0.0])
def test_a_file_that_is_renamed_into_place_is_never_torn_and_never_refused(
    tmp_path: Path, rest: float
) -> None:
    def rename(number: int) -> Iterator[None]:
        (tmp_path / "new").write_text(make_token(number, number * 37))
        (tmp_path / "new").rename(tmp_path / "token")
        yield

    reads, refused = hammer(tmp_path / "token", rename, rest)
    assert refused == 0
    assert reads > 100


def test_what_is_put_in_the_place_of_a_piece_is_read(tmp_path: Path) -> None:
    path, whole = tmp_path / "token", tmp_path / "whole"
    path.write_text(make_token(7)[:-400])
    whole.write_text(make_token(7))

    async def scenario() -> ServiceToken:
        reading = asyncio.gather(TokenFiles(SYSTEM).read(str(path)))
        await asyncio.sleep(0.1)
        whole.rename(path)
        return (await reading)[0]

    assert asyncio.run(scenario()).token == make_token(7)


@pytest.mark.parametrize("truncate", [True, False])
def test_rewriting_in_place_is_never_torn(tmp_path: Path, *, truncate: bool) -> None:
    path = tmp_path / "token"
    path.touch()

    def rewrite(number: int) -> Iterator[None]:
        data = make_token(number, number * 37).encode()
        with path.open("r+b", buffering=0) as file:
            if truncate:
                file.truncate(0)
                yield
            for start in range(0, len(data), 300):
                file.write(data[start : start + 300])
                time.sleep(0.004)
                yield
            file.truncate(len(data))
        yield

    reads, refused = hammer(path, rewrite, rest=0.15)
    assert refused == 0
    assert reads > 1000


def test_a_writer_that_never_rests_gets_a_refusal_not_a_torn_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch()

    def rewrite(number: int) -> Iterator[None]:
        with path.open("r+b", buffering=0) as file:
            file.write(make_token(number, number * 37).encode())
            yield
            file.truncate()
        yield

    _, refused = hammer(path, rewrite, rest=0.0)
    assert refused
