from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from emulator.boot.processes import Tail
from emulator.boot.verdict import Boot, Limits
from emulator.boot.watch import LEAST_FREE, Sources, Watch
from emulator.observe.audit import Line

if TYPE_CHECKING:
    from pathlib import Path

FINAL = (
    "Cloud-init v. 22.4.2 finished at now. Datasource DataSourceOpenStackLocal [x].  Up 1 seconds"
)


class Guest:
    """A guest of files and values."""

    def __init__(self, folder: Path) -> None:
        self.console = folder / "console.log"
        self.audit = folder / "audit.jsonl"
        self.status: int | None = None
        self.server: int | None = None
        self.free = LEAST_FREE
        self.interrupted = False
        self.said: list[str] = []
        self.echoed: list[str] = []
        sources = Sources(
            console=Tail(self.console),
            audit=Tail(self.audit),
            status=lambda: self.status,
            server=lambda: self.server,
            free=lambda: self.free,
            interrupted=lambda: self.interrupted,
        )
        boot = Boot("openstack", Limits(100, 50))
        self.watch = Watch(boot, sources, self.said.append, self.echoed.append)

    def shows(self, text: str) -> None:
        with self.console.open("a") as file:
            file.write(text)

    def asks(self, path: str, dialect: str = "openstack", rest: str = "\n") -> None:
        line = Line(
            time="2026-01-01T00:00:01.000Z",
            vm="a",
            dialect=dialect,
            method="GET",
            path=path,
            status=200,
        )
        with self.audit.open("ab") as file:
            file.write(msgspec.json.encode(line) + rest.encode())

    def outcome(self, now: float = 1.0) -> str:
        verdict = self.watch.step(now)
        return verdict.outcome if verdict else "none"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_files_that_do_not_exist_yet_say_nothing(guest: Guest) -> None:
    assert guest.outcome() == "none"
    assert guest.said == []


def test_progress_is_told_once_each(guest: Guest) -> None:
    guest.shows("Linux version 6.1 x\n")
    guest.asks("/openstack")
    guest.asks("/openstack/latest/meta_data.json")
    guest.asks("/latest/meta-data", "ec2_v1")
    assert guest.outcome(2.0) == "none"
    assert guest.outcome(3.0) == "none"
    assert guest.said == [
        "    2.0 s  kernel 6.1 starts",
        "    2.0 s  first request: GET /openstack -> 200 (no user agent)",
        "    2.0 s  asks ec2_v1: GET /latest/meta-data -> 200",
    ]
    assert guest.echoed == ["Linux version 6.1 x"]


def test_a_request_line_may_come_in_pieces_and_rubbish_is_passed_over(guest: Guest) -> None:
    guest.asks("/a", rest="")
    assert guest.outcome() == "none"
    assert guest.watch.boot.requests == []
    with guest.audit.open("a") as file:
        file.write("\nrubbish\n")
    assert guest.outcome() == "none"
    assert [request.path for request in guest.watch.boot.requests] == ["/a"]


def test_the_last_words_of_a_guest_count(guest: Guest) -> None:
    guest.shows(FINAL)
    assert guest.outcome() == "none"
    guest.status = 0
    assert guest.outcome() == "done"


def test_signs_of_life_are_console_and_requests(guest: Guest) -> None:
    guest.shows("hello\n")
    assert guest.outcome(49) == "none"
    guest.asks("/openstack")
    assert guest.outcome(98) == "none"
    assert guest.outcome(99.9) == "none"
    assert guest.outcome(100) == "timeout"


def test_troubles_of_ours_are_named(guest: Guest) -> None:
    guest.free = LEAST_FREE - 1
    assert guest.outcome() == "disk-full"
    guest.server = 1
    assert guest.outcome() == "server-died"
    guest.interrupted = True
    assert guest.outcome() == "interrupted"
