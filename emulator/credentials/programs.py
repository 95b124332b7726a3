"""Programs that print keys, as AWS's tools run them (``credential_process``)."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from emulator.core.credentials import RoleCredentials
from emulator.credentials.moments import UNSAID, moment
from emulator.errors import CredentialsUnavailable
from emulator.ports import Ports

SECONDS = 30.0
"""How long a program may take: those that ask a server of single sign-on take some."""

LIMIT = 64 << 10
"""Bytes that it may print; keys are 2 KiB."""

# Seconds in which a killed program's output comes to its end.
_AFTERMATH = 2.0

_Text = Annotated[str, Meta(min_length=1)]


class _Printed(msgspec.Struct, frozen=True):
    version: Literal[1] = field(name="Version")
    access_key_id: _Text = field(name="AccessKeyId")
    secret_access_key: _Text = field(name="SecretAccessKey")
    token: str | None = field(name="SessionToken", default=None)
    expiration: str | None = field(name="Expiration", default=None)
    account: str | None = field(name="AccountId", default=None)

    def __repr__(self) -> str:
        return "_Printed(...)"


async def run(command: tuple[str, ...], ports: Ports, seconds: float = SECONDS) -> RoleCredentials:
    """Give what ``command`` prints within ``seconds``; raise ``CredentialsUnavailable``."""
    name = command[0]
    try:
        # What it says on standard error may hold secrets, and it is nobody's business here.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise _unavailable(f"{name}: {error.strerror}") from None
    done = False
    try:
        async with asyncio.timeout(seconds):
            printed = await _printed(process, name)
            status = await process.wait()
        done = True
    except TimeoutError:
        raise _unavailable(f"{name}: not done in {seconds:g} seconds") from None
    finally:
        if not done:
            await _end(process)
    if status:
        raise _unavailable(f"{name}: exit status {status}")
    return _credentials(printed, name, ports.wall())


async def _printed(process: Process, name: str) -> bytes:
    output = process.stdout
    if output is None:
        raise AssertionError(name)
    parts = []
    left = LIMIT
    while part := await output.read(left + 1):
        left -= len(part)
        if left < 0:
            raise _unavailable(f"{name}: printed more than {LIMIT} bytes")
        parts.append(part)
    return b"".join(parts)


async def _end(process: Process) -> None:
    """End it with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # asyncio says that it ended only once its output was read to the end, and that may be held
    # open by what left its group.
    with suppress(TimeoutError):
        async with asyncio.timeout(_AFTERMATH):
            while process.stdout is not None and await process.stdout.read(LIMIT):
                pass
            await process.wait()


def _credentials(printed: bytes, name: str, now: float) -> RoleCredentials:
    try:
        found = msgspec.json.decode(printed, type=_Printed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        # msgspec names the place, never what stands there.
        raise _unavailable(f"{name}: printed no keys as version 1 has them: {error}") from None
    expires: float | None = now + UNSAID
    if found.expiration:
        expires = moment(found.expiration)
    if expires is None or expires <= now:
        raise _unavailable(f"{name}: its Expiration is past, or no time")
    return RoleCredentials(
        access_key_id=found.access_key_id,
        secret_access_key=found.secret_access_key,
        token=found.token or "",
        updated=now,
        expires=expires,
        account=found.account or "",
    )


def _unavailable(detail: str) -> CredentialsUnavailable:
    return CredentialsUnavailable("the program that gives the role's keys failed", detail=detail)
