"""One door to every provider: keys kept while they are good, got anew before they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from emulator.core.credentials import RoleCredentials
from emulator.core.message import ServiceToken
from emulator.credentials import programs
from emulator.credentials.generated import generate
from emulator.credentials.kept import Kept
from emulator.credentials.profiles import Profiles
from emulator.credentials.sts import Sts
from emulator.errors import (
    ConfigError,
    CredentialsUnavailable,
    Problem,
    StartError,
    TokenUnavailable,
)
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance
from emulator.ports import Ports

KEPT = 10_000
"""Machines whose keys are kept; of more, those go that did not ask longest."""

# Exchanges at once: a dead STS must not take every thread that the server has, nor hundreds of
# machines start as many programs.
_AT_ONCE = 4

# Keys are got anew so many seconds before they end, at half of their life if that is shorter:
# clients that ask again when 15 minutes are left (contract 3.5) then find new ones.
_EARLY = 1200

# Providers that take time, so that what they gave is kept.
_EXCHANGED = frozenset({"process", "web-identity"})

# Seconds before another try, by how often it failed.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

_log = logging.getLogger("imds")


class Spawn(Protocol):
    """Starts work that outlives who asked for it, and reports its failure."""

    def __call__(self, work: Coroutine[object, object, None], name: str, /) -> asyncio.Task[None]:
        """Start ``work``."""


class _Entry:
    """What is known of one machine's keys."""

    def __init__(self) -> None:
        self.found: RoleCredentials | None = None
        self.work: asyncio.Task[None] | None = None
        self.failures = 0
        self.again = 0.0  # by the monotonic clock
        self.message = "the role's keys cannot be had now"
        self.code = "Failed"
        self.detail = ""


class Credentials:
    """Gives the keys that machines are described to have."""

    def __init__(
        self,
        ports: Ports,
        key: Callable[[], bytes],
        tokens: Callable[[Instance, str], Awaitable[ServiceToken | None]],
        *,
        spawn: Spawn,
        processes: bool,
    ) -> None:
        """Generate with ``key``, ask STS with ``tokens``, run programs only with ``processes``.

        An exchange is work for ``spawn``: it goes on when the guest that wanted it hangs up.
        """
        self._ports = ports
        self._key = key
        self._tokens = tokens
        self._spawn = spawn
        self._processes = processes
        self._profiles = Profiles(ports, KEPT)
        self._sts = Sts(ports)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._entries: Kept[object, _Entry] = Kept(KEPT)

    def check(self, instance_name: str, config: AwsCredentials) -> None:
        """Raise ``ConfigError`` for a program that this server must not run."""
        if config.provider == "process" and not self._processes:
            raise ConfigError(
                Problem(
                    file=instance_name,
                    line=0,
                    field="ec2.credentials.provider",
                    found="process, and so a program to be run as the server",
                    allowed="another provider, or serve --allow-credential-process where whoever "
                    "writes descriptions may run programs on this host",
                )
            )

    async def get(self, instance: Instance, config: AwsCredentials) -> RoleCredentials:
        """Give the keys of the role; raise ``CredentialsUnavailable``."""
        entry = self._entries.get(_key(instance, config), _Entry)
        if config.provider in _EXCHANGED:
            return await self._kept(entry, instance, config)
        try:
            found = await self._read(instance, config)
        except CredentialsUnavailable as error:
            self._note(entry, error, instance, config)
            raise
        entry.failures = 0
        return found

    async def _kept(
        self, entry: _Entry, instance: Instance, config: AwsCredentials
    ) -> RoleCredentials:
        """Give what was got before while it is good, even if it is time for new ones."""
        if self._is_due(entry):
            work = self._exchange(entry, instance, config)
            entry.work = self._spawn(work, f"exchange for keys of {instance.name}")
        if entry.work is not None and not self._is_good(entry.found):
            # A guest that hangs up cancels its own waiting only.
            await asyncio.shield(entry.work)
        if entry.found is not None and self._is_good(entry.found):
            return entry.found
        raise CredentialsUnavailable(entry.message, code=entry.code, detail=entry.detail)

    async def _read(self, instance: Instance, config: AwsCredentials) -> RoleCredentials:
        if config.provider == "file":
            return await self._profiles.get(config.file, config.profile)
        try:
            key = self._key()
        except StartError as error:
            message = "the role's keys cannot be made"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        return generate(key, instance.uuid, config.role, config.lifetime, self._ports.wall())

    def _is_good(self, found: RoleCredentials | None) -> bool:
        return found is not None and self._ports.wall() < found.expires

    def _is_due(self, entry: _Entry) -> bool:
        if entry.work is not None or self._ports.monotonic() < entry.again:
            return False
        found = entry.found
        if found is None:
            return True
        early = min(_EARLY, (found.expires - found.updated) / 2)
        return self._ports.wall() >= found.expires - early

    async def _exchange(self, entry: _Entry, instance: Instance, config: AwsCredentials) -> None:
        """Get keys into ``entry``, or why there are none and when to try again."""
        failures = entry.failures + 1
        try:
            entry.found = await self._fresh(instance, config)
            failures = 0
        except CredentialsUnavailable as error:
            self._note(entry, error, instance, config)
        finally:
            entry.failures, entry.work = failures, None
            entry.again = self._ports.monotonic() + _PAUSES[min(failures, len(_PAUSES) - 1)]

    async def _fresh(self, instance: Instance, config: AwsCredentials) -> RoleCredentials:
        async with self._slots:
            found = await self._fetch(instance, config)
        if not self._is_good(found):
            detail = "they ended before they came: is this host's clock right?"
            raise CredentialsUnavailable("the role's keys have expired", detail=detail)
        return found

    async def _fetch(self, instance: Instance, config: AwsCredentials) -> RoleCredentials:
        if config.provider == "process":
            return await self._run(config)
        try:
            token = await self._tokens(instance, config.audience)
        except TokenUnavailable as error:
            message = "the machine's ServiceAccount token cannot be had"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        if token is None:
            raise CredentialsUnavailable(f"no token for {config.audience} is offered")
        region = instance.placement.region
        return await asyncio.to_thread(
            self._sts.exchange, config, token.token, region, instance.name
        )

    async def _run(self, config: AwsCredentials) -> RoleCredentials:
        if not self._processes:
            detail = "programs run only with serve --allow-credential-process"
            raise CredentialsUnavailable("the server runs no programs", detail=detail)
        return await programs.run(config.command, self._ports)

    def _note(
        self,
        entry: _Entry,
        error: CredentialsUnavailable,
        instance: Instance,
        config: AwsCredentials,
    ) -> None:
        """Keep a failure, and log it once for as long as it stays the same."""
        told = entry.failures and (str(error), error.detail) == (entry.message, entry.detail)
        entry.failures = max(entry.failures, 1)
        entry.message, entry.code, entry.detail = str(error), error.code, error.detail
        if told:
            return
        name = f"{instance.namespace}/{instance.name}"
        why = f"{error} ({error.detail})" if error.detail else str(error)
        _log.warning("%s: no keys of the role %s: %s", name, config.role, why)


def _key(instance: Instance, config: AwsCredentials) -> object:
    """Name what an exchange depends on: another identity must not get the last one's keys."""
    identity = (instance.namespace, instance.service_account, instance.placement.region)
    return (instance.uuid, config, identity, instance.tokens)
