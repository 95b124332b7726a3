"""``emulator.credentials``: programs that print keys."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from emulator.core.credentials import RoleCredentials
from emulator.credentials import programs
from emulator.errors import ConfigError, CredentialsUnavailable
from emulator.model.credentials import AwsCredentials
from tests.credentials.conftest import VM, Bench, Shows, wait

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = {"Version": 1, "AccessKeyId": "ASIAPROGRAM", "SecretAccessKey": SECRET}


def config(*command: str) -> AwsCredentials:
    return AwsCredentials(role="web", provider="process", command=command)


def script(folder: Path, text: str) -> AwsCredentials:
    path = folder / "keys"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return config(str(path))


def prints(folder: Path, **keys: object) -> AwsCredentials:
    printed = json.dumps(KEYS | keys)
    return script(folder, f"echo run >>'{folder}/runs'\ncat <<'END'\n{printed}\nEND")


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def refused(bench: Bench, wanted: AwsCredentials) -> str:
    with pytest.raises(CredentialsUnavailable) as error:
        wait(bench.credentials.get(VM, wanted))
    assert str(error.value) == "the program that gives the role's keys failed"
    assert error.value.code == "Failed"
    return error.value.detail.removeprefix(f"{wanted.command[0]}: ")


def gone(pid: int) -> bool:
    """Wait for a process to be no more, or only a line in the table."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_what_it_prints_is_taken(bench: Bench, tmp_path: Path, shows_none: Shows) -> None:
    end = int(bench.clock.now) + 7200
    spelled = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    wanted = prints(
        tmp_path, SessionToken="the-token", Expiration=spelled, AccountId="123456789012"
    )
    found: RoleCredentials = wait(bench.credentials.get(VM, wanted))
    assert found == RoleCredentials(
        "ASIAPROGRAM", SECRET, "the-token", bench.clock.now, end, "123456789012"
    )
    shows_none([SECRET, "ASIAPROGRAM", "the-token"], found)


def test_it_runs_again_well_before_the_keys_end(bench: Bench, tmp_path: Path) -> None:
    async def main() -> None:
        end = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(bench.clock.now + 3601))
        wanted = prints(tmp_path, Expiration=end)
        for _ in range(3):
            await bench.credentials.get(VM, wanted)
        bench.clock.advance(2390)
        await bench.credentials.get(VM, wanted)
        assert runs(tmp_path) == 1
        bench.clock.advance(20)
        await bench.credentials.get(VM, wanted)
        await bench.settled()
        assert runs(tmp_path) == 2

    asyncio.run(main())


@pytest.mark.parametrize("absent", [{}, {"SessionToken": None, "Expiration": None}])
def test_lasting_keys_are_asked_for_again_each_hour(
    absent: dict[str, None], bench: Bench, tmp_path: Path
) -> None:
    found = wait(bench.credentials.get(VM, prints(tmp_path, **absent)))
    assert (found.token, found.account) == ("", "")
    assert found.expires == bench.clock.now + 3600


def test_no_shell_reads_its_arguments(bench: Bench, tmp_path: Path) -> None:
    secret = "$(id) `id` ; > * '"
    text = json.dumps(KEYS | {"SecretAccessKey": secret})
    assert (
        wait(bench.credentials.get(VM, config("printf", "%s", text))).secret_access_key == secret
    )


FAULTS = {
    "exit": (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "exit status 3"),
    "signal": ("kill -9 $$", "exit status -9"),
    "much": ("yes", f"printed more than {programs.LIMIT} bytes"),
    "nothing": (
        "exit 0",
        "printed no keys as version 1 has them: Input data was truncated",
    ),
    "binary": (
        "printf '\"\\377\"'",
        "printed no keys as version 1 has them: Expected `object`, got `str`",
    ),
    "text": (
        f"echo {SECRET}",
        "printed no keys as version 1 has them: JSON is malformed: invalid character (byte 0)",
    ),
    "version": (
        """echo '{"Version": 2, "AccessKeyId": "a", "SecretAccessKey": "b"}'""",
        "printed no keys as version 1 has them: Invalid enum value 2 - at `$.Version`",
    ),
    "empty": (
        """echo '{"Version": 1, "AccessKeyId": "", "SecretAccessKey": "b"}'""",
        (
            "printed no keys as version 1 has them: Expected `str` of length >= 1 - at "
            "`$.AccessKeyId`"
        ),
    ),
    "number": (
        """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": 17}'""",
        (
            "printed no keys as version 1 has them: Expected `str`, got `int` - at "
            "`$.SecretAccessKey`"
        ),
    ),
    "past": (
        (
            """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", """
            """"Expiration": "2020-01-01T00:00:00Z"}'"""
        ),
        "its Expiration is past, or no time",
    ),
    "never": (
        (
            """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", """
            """"Expiration": "never"}'"""
        ),
        "its Expiration is past, or no time",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str, bench: Bench, tmp_path: Path, shows_none: Shows) -> None:
    text, detail = FAULTS[name]
    found = refused(bench, script(tmp_path, text))
    assert found == detail
    shows_none([SECRET], found)


def test_a_program_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    assert refused(bench, config(str(tmp_path / "none"))) == "No such file or directory"
    (tmp_path / "plain").write_text("text")
    assert refused(bench, config(str(tmp_path / "plain"))) == "Permission denied"


def test_one_that_hangs_is_ended_with_its_children(bench: Bench, tmp_path: Path) -> None:
    wanted = script(tmp_path, f"sleep 1000 & echo $! $$ > '{tmp_path}/pids'; wait")

    async def main() -> None:
        with pytest.raises(CredentialsUnavailable) as error:
            await programs.run(wanted.command, bench.ports, seconds=0.5)
        assert error.value.detail.endswith("/keys: not done in 0.5 seconds")

    asyncio.run(main())
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(map(gone, pids))


def test_a_child_that_keeps_the_output_open_is_ended_too(bench: Bench, tmp_path: Path) -> None:
    wanted = script(tmp_path, f"sleep 1000 & echo $! > '{tmp_path}/pids'")

    async def main() -> None:
        with pytest.raises(CredentialsUnavailable):
            await programs.run(wanted.command, bench.ports, seconds=0.5)

    asyncio.run(main())
    assert gone(int((tmp_path / "pids").read_text()))


def test_stopping_the_server_ends_it(bench: Bench, tmp_path: Path) -> None:
    wanted = script(tmp_path, f"echo $$ > '{tmp_path}/pid'; exec sleep 1000")

    async def main() -> None:
        asking = asyncio.ensure_future(bench.credentials.get(VM, wanted))
        async with asyncio.timeout(20):
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110  a file is all that it shows
                await asyncio.sleep(0.01)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        [work] = bench.work
        assert not work.done()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert gone(int((tmp_path / "pid").read_text()))


def test_only_the_operator_may_allow_it(bench: Bench, tmp_path: Path) -> None:
    wanted = prints(tmp_path)
    strict = bench.made(processes=False)
    with pytest.raises(ConfigError) as refusal:
        strict.check("web-1", wanted)
    assert str(refusal.value) == (
        "web-1: ec2.credentials.provider: found process, and so a program to be run as the "
        "server; allowed: another provider, or serve --allow-credential-process where whoever "
        "writes descriptions may run programs on this host"
    )
    with pytest.raises(CredentialsUnavailable, match="the server runs no programs"):
        wait(strict.get(VM, wanted))
    assert not (tmp_path / "runs").exists()
    strict.check("web-1", AwsCredentials(role="web"))
    bench.credentials.check("web-1", wanted)
    assert os.listdir(tmp_path) == ["keys"]  # noqa: PTH208 - names are all there is to see
