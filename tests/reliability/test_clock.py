"""The wall clock of a running server is set a day ahead, or back: libfaketime in a real process.

It fakes what the process asks; the files' times stay the kernel's.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest, values
from tests.reliability.load import TOKEN, TTL
from tests.server.process import Serving, until
from tests.tokens.test_files import make_token

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
EVENT = "/computeMetadata/v1/instance/maintenance-event"
KEYS = "/latest/meta-data/iam/security-credentials/web"
NAME = "/latest/meta-data/hostname"
GOOGLE = {"Metadata_Flavor": "Google"}
VM = """\
name: {name}
dialects: {{ec2: {{tokens: optional}}, gce: {{}}, kubevirt: {{}}}}
tokens: [{{file: {folder}/token}}]
ec2: {{credentials: {{role: web, provider: generated, lifetime: 3600}}}}
events:
- {{kind: maintenance, action: migrate, notice: "{begins}", begins: notice, ends: begins+10d}}
"""


class Moved:
    """A server whose clock a test sets."""

    def __init__(self, folder: Path) -> None:
        """Start it at the right time, with an event 12 hours later."""
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self.folder = folder
        self._offset = folder / "offset"
        self.set(0)
        (folder / "token").write_text(make_token(1))
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=12)
        self.begins = later.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.describe("first")
        environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.server = Serving(folder, str(folder / "vm.yaml"), environment=environment)

    def set(self, seconds: int) -> None:
        """Set the clock so many seconds ahead of the true time."""
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}")
        fresh.rename(self._offset)

    def describe(self, name: str) -> None:
        text = VM.format(name=name, folder=self.folder, begins=self.begins)
        (self.folder / "vm.yaml").write_text(text)


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Moved]:
    made = Moved(tmp_path)
    with made.server:
        yield made


def session(guest_url: str) -> str:
    with Guest(guest_url) as guest:
        return guest.ask("/latest/api/token", "PUT", **TTL).body.decode()


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["ahead", "back"])
def test_it_goes_on_in_the_time_that_is_told(moved: Moved, jump: int) -> None:
    server = moved.server
    with Guest(server.url) as guest:
        old = session(server.url)
        assert guest.ask(NAME, **{TOKEN: old}).status == 200
        keys = json.loads(guest.ask(KEYS).body)
        moved.set(jump)
        told = email.utils.parsedate_to_datetime(values(guest.ask(NAME).head)["date"])
        assert abs(told.timestamp() - time.time() - jump) < 60
        # A token ends by the clock; set back, it lives on, and no guest is put out.
        assert guest.ask(NAME, **{TOKEN: old}).status == (401 if jump > 0 else 200)
        assert guest.ask(NAME, **{TOKEN: session(server.url)}).status == 200
        # Keys are those of the time that it is said to be.
        others = json.loads(guest.ask(KEYS).body)
        assert others["Code"] == "Success"
        ends = [dt.datetime.fromisoformat(one["Expiration"]) for one in (keys, others)]
        assert abs((ends[1] - ends[0]).total_seconds() - jump) <= 3600
        # The operator is told, once.
        until(lambda: any("the clock was set by" in line for line in server.lines))
        # A ServiceAccount token, its rotation, and a change of the description are had as ever.
        for number in (1, 2):
            (moved.folder / "token").write_text(make_token(number))
            answer = guest.ask("/v1/token", Metadata="true")
            assert make_token(number).encode() in answer.body
        moved.describe("second")
        until(lambda: guest.ask(NAME).body == b"second")
        assert server.ready() == {}
        moved.set(0)
        assert guest.ask(NAME, **{TOKEN: session(server.url)}).status == 200
        until(lambda: sum("the clock was set by" in line for line in server.lines) == 2)
        assert not any("Traceback" in line for line in server.lines)


def test_events_come_and_go_with_the_clock_for_who_asks_and_who_waits(moved: Moved) -> None:
    with Guest(moved.server.url) as asking, Guest(moved.server.url) as waiting:
        assert asking.ask(EVENT, **GOOGLE).body == b"NONE"
        for jump, now in ((DAY, b"MIGRATE_ON_HOST_MAINTENANCE"), (0, b"NONE")):
            waiting.send(f"{EVENT}?wait_for_change=true", **GOOGLE)
            until(lambda: moved.server.metric("imds_waiting_requests") == 1)
            moved.set(jump)
            assert waiting.answer().body == now
            assert asking.ask(EVENT, **GOOGLE).body == now
