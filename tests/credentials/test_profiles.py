"""``emulator.credentials``: profiles of shared-credentials files."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from emulator.core.credentials import RoleCredentials
from emulator.credentials import profiles
from emulator.errors import CredentialsUnavailable
from emulator.model.credentials import AwsCredentials
from tests.credentials.conftest import VM, Bench, Shows, wait

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

FILE = f"""\
; made by a tool
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = {SECRET}

[100% team]
AWS_ACCESS_KEY_ID=ASIATEAM
aws_secret_access_key={SECRET}%(x)s
aws_session_token=to%%ken
s3 =
    max_concurrent_requests = 20
"""


def at(path: Path, profile: str = "default") -> AwsCredentials:
    return AwsCredentials(role="web", provider="file", file=str(path), profile=profile)


@pytest.fixture
def file(tmp_path: Path, bench: Bench) -> Path:
    path = tmp_path / "credentials"
    path.write_text(FILE)
    bench.clock.advance(10)  # the file has long been as it is
    return path


def refused(bench: Bench, config: AwsCredentials) -> str:
    with pytest.raises(CredentialsUnavailable) as error:
        wait(bench.credentials.get(VM, config))
    assert str(error.value) == "the role's keys cannot be read"
    assert error.value.code == "Failed"
    assert error.value.detail.startswith(config.file)
    return error.value.detail.removeprefix(f"{config.file}: ")


def test_each_profile_has_its_keys(bench: Bench, file: Path, shows_none: Shows) -> None:
    found: RoleCredentials = wait(bench.credentials.get(VM, at(file)))
    assert (found.access_key_id, found.secret_access_key) == ("AKIADEFAULT", SECRET)
    assert (found.token, found.account) == ("", "")
    team = wait(bench.credentials.get(VM, at(file, "100% team")))
    assert (team.access_key_id, team.token) == ("ASIATEAM", "to%%ken")
    assert team.secret_access_key == f"{SECRET}%(x)s"
    shows_none([SECRET, "AKIADEFAULT", "to%%ken"], found, team)


def test_keys_that_do_not_say_when_they_end_are_good_for_a_while(bench: Bench, file: Path) -> None:
    bench.clock.now = 4_000_000_000.0
    for _ in range(10):
        found = wait(bench.credentials.get(VM, at(file)))
        assert found.updated <= bench.clock.now
        assert 1800 <= found.expires - bench.clock.now <= 3600
        bench.clock.advance(777)


@pytest.mark.parametrize("field", ["aws_expiration", "expiration", "x_security_token_expires"])
@pytest.mark.parametrize(
    "spelled",
    [
        lambda end: end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda end: end.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat(),
        lambda end: end.strftime("%Y-%m-%d %H:%M:%S"),
    ],
    ids=["zulu", "offset", "naive"],
)
def test_keys_end_when_their_tool_says(
    field: str, spelled: Callable[[dt.datetime], str], bench: Bench, file: Path
) -> None:
    end = dt.datetime.fromtimestamp(int(bench.clock.now) + 5000, dt.UTC)
    file.write_text(
        FILE.replace("; made by a tool\n[default]\n", f"[default]\n{field} = {spelled(end)}\n")
    )
    found = wait(bench.credentials.get(VM, at(file)))
    assert found.expires == end.timestamp()
    assert found.updated == pytest.approx(file.stat().st_mtime)
    bench.clock.advance(5000)
    assert refused(bench, at(file)) == "its keys have expired"
    with pytest.raises(CredentialsUnavailable) as error:
        wait(bench.credentials.get(VM, at(file)))
    assert error.value.ended == end.timestamp()


def test_what_is_no_time_is_somebody_elses_field(bench: Bench, file: Path) -> None:
    file.write_text(FILE.replace("[default]", "[default]\nexpiration = soon"))
    assert wait(bench.credentials.get(VM, at(file))).expires > bench.clock.now


WRONG = {
    "not in the format of a shared-credentials file": [b"\xff\xfe", b"key without section", b"[a"],
    "no profile default": [b"", b"[other]\na=b\n"],
    "no keys in profile default": [
        b"[default]\n",
        b"[default]\naws_access_key_id = a\n",
        b"[default]\naws_access_key_id = a\naws_secret_access_key =\n",
    ],
    f"larger than {profiles.LIMIT} bytes": [b"#" * (profiles.LIMIT + 1)],
}


@pytest.mark.parametrize(
    ("wrong", "data"), [(wrong, data) for wrong, many in WRONG.items() for data in many]
)
def test_what_is_wrong_with_a_file_is_logged_once_and_not_told_to_the_guest(
    wrong: str, data: bytes, bench: Bench, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(data)
    bench.clock.advance(10)
    for _ in range(3):
        assert refused(bench, at(file)) == wrong
    assert caplog.messages == [
        f"default/web-1: no keys of the role web: the role's keys cannot be read ({file}: {wrong})"
    ]


def test_a_broken_line_is_not_repeated(bench: Bench, file: Path, shows_none: Shows) -> None:
    file.write_text(f"[default]\n{SECRET}\n")
    shows_none([SECRET], refused(bench, at(file)))


def test_a_file_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    assert refused(bench, at(tmp_path / "none")) == "No such file or directory"
    assert refused(bench, at(tmp_path)) == "not a regular file"
    (tmp_path / "file").touch()
    assert refused(bench, at(tmp_path / "file" / "x")) == "Not a directory"
    os.mkfifo(tmp_path / "pipe")
    assert refused(bench, at(tmp_path / "pipe")) == "not a regular file"


def test_a_file_may_be_away_for_a_moment(bench: Bench, file: Path) -> None:
    data = file.read_bytes()
    file.unlink()

    async def swap() -> RoleCredentials:
        asking = asyncio.ensure_future(bench.credentials.get(VM, at(file)))
        await asyncio.sleep(0.005)
        await asyncio.to_thread(file.write_bytes, data)
        bench.clock.advance(1)
        return await asking

    assert asyncio.run(swap()).access_key_id == "AKIADEFAULT"


@pytest.mark.parametrize("replaces", [True, False])
def test_rotation_counts_once_the_writer_is_done(
    bench: Bench, file: Path, *, replaces: bool
) -> None:
    def ask() -> str:
        found: RoleCredentials = wait(bench.credentials.get(VM, at(file)))
        return found.access_key_id

    def write(text: str) -> None:
        new = file.with_name("new") if replaces else file
        new.write_text(text)
        if replaces:
            new.replace(file)
        bench.clock.now = file.stat().st_ctime + 0.01

    assert ask() == "AKIADEFAULT"
    write(FILE.replace("AKIADEFAULT", "AKIANEW")[:50])
    assert ask() == "AKIADEFAULT"
    bench.clock.advance(profiles.QUIET - 0.02)
    assert ask() == "AKIADEFAULT"
    write(FILE.replace("AKIADEFAULT", "AKIANEW"))
    assert ask() == "AKIADEFAULT"
    bench.clock.advance(profiles.QUIET)
    assert ask() == "AKIANEW"


def test_the_first_reading_waits_for_the_writer(bench: Bench, file: Path) -> None:
    bench.clock.now = file.stat().st_ctime
    assert refused(bench, at(file)) == "still being written"

    async def later() -> RoleCredentials:
        asking = asyncio.ensure_future(bench.credentials.get(VM, at(file)))
        await asyncio.sleep(0.05)
        assert not asking.done()
        bench.clock.advance(profiles.QUIET)
        return await asking

    assert asyncio.run(later()).access_key_id == "AKIADEFAULT"


def test_a_file_stamped_by_a_clock_ahead_counts_by_what_is_seen(bench: Bench, file: Path) -> None:
    bench.clock.now = file.stat().st_ctime - 3600
    assert refused(bench, at(file)) == "still being written"
    bench.clock.advance(profiles.QUIET)
    assert wait(bench.credentials.get(VM, at(file))).access_key_id == "AKIADEFAULT"


def test_what_changes_while_it_is_read_is_read_again(bench: Bench, file: Path) -> None:
    writes = iter(["AKIATORN", "AKIAWHOLE"])

    def read(path: str) -> bytes:
        data = Path(path).read_bytes()
        for name in writes:
            file.write_text(FILE.replace("AKIADEFAULT", name))
            return data
        return data

    bench.clock.advance(1000)  # even the newest write was long ago
    reader = profiles.Profiles(msgspec.structs.replace(bench.ports, read=read), 10)
    assert wait(reader.get(str(file), "default")).access_key_id == "AKIAWHOLE"


def test_an_unchanged_file_is_read_once(bench: Bench, file: Path) -> None:
    reads = []

    def read(path: str) -> bytes:
        reads.append(path)
        return Path(path).read_bytes()

    reader = profiles.Profiles(msgspec.structs.replace(bench.ports, read=read), 10)
    for _ in range(5):
        wait(reader.get(str(file), "default"))
    assert reads == [str(file)]
