"""Lines are written in their order, and nobody waits for that, whatever the place does."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from emulator.errors import ConfigError, StartError
from emulator.observe.sink import File, Output, Syslog, Writer, place

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 20.0


def told(count: int) -> bytes:
    return b"lost %d" % count


class Gate:
    """A place that takes nothing before it is opened, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.open = threading.Event()
        self.lines: list[bytes] = []
        self.failures = failures

    def write(self, lines: list[bytes]) -> int:
        assert self.open.wait(DEADLINE)
        if self.failures:
            self.failures -= 1
            return 0
        self.lines += lines
        return len(lines)

    def reopen(self) -> None:
        """Stay."""


def test_lines_arrive_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    writer = Writer(File(str(path), 0, 0), told)
    for number in range(1000):
        writer.put([b"%d a" % number, b"%d b" % number])
    writer.close(DEADLINE)
    assert path.read_text().split("\n") == [
        *(f"{number} {letter}" for number in range(1000) for letter in "ab"),
        "",
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (writer.written, writer.dropped) == (2000, 0)


def test_a_place_that_takes_nothing_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    writer = Writer(gate, told, most_held=100)
    for _ in range(1000):
        writer.put([b"0123456789"])
    # Some are in the writer's hands; of the rest, as many as may wait.
    assert writer.dropped >= 980
    assert [record.getMessage() for record in caplog.records] == [
        "audit lines are being lost: they cannot be written, or not fast enough"
    ]
    writer.close(0.01)
    gate.open.set()
    writer.close(DEADLINE)
    assert writer.written + writer.dropped == 1000
    assert gate.lines.count(b"0123456789") == writer.written
    missing = [int(line.split()[1]) for line in gate.lines if line.startswith(b"lost")]
    assert sum(missing) == writer.dropped


def test_what_was_lost_is_said_once_lines_can_be_written_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate(failures=1)
    writer = Writer(gate, told)
    gate.open.set()
    writer.put([b"a", b"b"])
    while not writer.dropped:
        assert gate.open.wait(DEADLINE)
    writer.put([b"c"])
    writer.close(DEADLINE)
    assert gate.lines == [b"lost 2", b"c"]
    assert (writer.written, writer.dropped) == (1, 2)
    assert caplog.messages[-1] == "the audit log goes on; 2 lines were lost"


def test_a_full_disk_loses_lines_and_counts_them() -> None:
    assert File("/dev/full", 0, 0).write([b"a", b"b"]) == 0


@pytest.mark.parametrize("ends", [0, 1])
def test_half_a_line_is_no_part_of_the_next(tmp_path: Path, ends: int) -> None:
    """A file that may not grow takes what fits, as a disk does that is nearly full."""
    path = tmp_path / "audit"
    room = len("first\n") + len("sec") * ends
    child = os.fork()
    if child == 0:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        file = File(str(path), 0, 0)
        written = file.write([b"first", b"second"])
        file.write([b"nothing of it fits"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = file.write([b"third"])
        os._exit(written * 10 + again)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    assert path.read_text() == ("first\nsec\nthird\n" if ends else "first\nthird\n")


def test_a_file_that_is_long_enough_is_kept_beside_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    file = File(str(path), 10, 2)
    for letter in (b"a", b"b", b"c", b"d"):
        assert file.write([letter * 7]) == 1
    found = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert found == {"audit": "ddddddd\n", "audit.1": "ccccccc\n", "audit.2": "bbbbbbb\n"}


def test_none_is_kept_if_none_shall_be(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    file = File(str(path), 10, 0)
    for letter in (b"a", b"b"):
        assert file.write([letter * 7]) == 1
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"audit": "bbbbbbb\n"}


def test_a_file_that_cannot_be_put_aside_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    (tmp_path / "audit.1").mkdir()
    (tmp_path / "audit.1" / "in the way").touch()
    file = File(str(path), 10, 1)
    assert file.write([b"a" * 7]) == 1
    assert file.write([b"b" * 7]) == 1
    assert path.read_text() == "aaaaaaa\nbbbbbbb\n"


def test_a_file_that_others_rotated_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    writer = Writer(File(str(path), 0, 0), told)
    path.rename(tmp_path / "old")
    writer.reopen()
    writer.put([b"new"])
    writer.close(DEADLINE)
    assert path.read_text() == "new\n"
    assert not (tmp_path / "old").read_text()


def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot write the audit log"):
        place(str(tmp_path / "missing" / "audit"), 0, 0)


def test_standard_output_is_a_place_too(capfd: pytest.CaptureFixture[str]) -> None:
    output = place("-", 1, 1)
    assert isinstance(output, Output)
    output.reopen()
    assert output.write([b"{}", b"{}"]) == 2
    assert capfd.readouterr().out == "{}\n{}\n"


def missing(lines: list[bytes]) -> int:
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"lost"))


def test_a_slow_reader_of_standard_output_holds_nobody_up() -> None:
    """A pipe that nobody reads is full after 64 KiB."""
    reading, writing = os.pipe()
    output = Output()
    output._descriptor = writing
    writer = Writer(output, told, most_held=100_000)
    for _ in range(1000):
        writer.put([b"x" * 999])
    writer.close(0.01)
    assert writer.dropped >= 800
    got: list[bytes] = []
    with os.fdopen(reading, "rb") as file:
        # Each line is there, or is said to be missing: at once, not when another comes.
        while got.count(b"x" * 999 + b"\n") + missing(got) < 1000:
            got.append(file.readline())
    assert missing(got) == writer.dropped
    writer.close(DEADLINE)
    os.close(writing)


def test_syslog_gets_a_datagram_for_each_line(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    syslog = place(f"syslog:{path}", 0, 0)
    assert isinstance(syslog, Syslog)
    assert syslog.write([b"a"]) == 0
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(path)
            daemon.settimeout(DEADLINE)
            # What its predecessor had is found out when it is sent to.
            while not syslog.write([json.dumps({"a": 1}).encode(), b"b"]):
                pass
            first = daemon.recv(1000).decode()
            assert first.startswith("<86>")
            assert first.endswith(f" imds-emulator[{os.getpid()}]: " + '{"a": 1}')
            assert daemon.recv(1000).endswith(b": b")
        (tmp_path / "log").unlink()
    syslog.reopen()


@pytest.mark.parametrize("where", ["syslog:"])
def test_a_place_that_is_none_stops_the_start(where: str) -> None:
    with pytest.raises(ConfigError, match='--audit: found "syslog:"; allowed: FILE, - for'):
        place(where, 0, 0)
