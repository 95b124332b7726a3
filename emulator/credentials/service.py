"""One door to every provider of a role's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from emulator.core.credentials import RoleCredentials
from emulator.core.message import ServiceToken
from emulator.credentials import programs
from emulator.credentials.exchanges import KEPT, TOGETHER, Exchanges, Spawn, Told, Wanted
from emulator.credentials.generated import generate
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

# Providers that take time, so that what they gave is kept.
_EXCHANGED = frozenset({"process", "web-identity"})


class Credentials:
    """Gives the keys that machines are described to have."""

    def __init__(  # noqa: PLR0913 (what it is made of)
        self,
        ports: Ports,
        key: Callable[[], bytes],
        tokens: Callable[[Instance, str], Awaitable[ServiceToken | None]],
        *,
        spawn: Spawn,
        processes: bool,
        told: Told | None = None,
    ) -> None:
        """Generate with ``key``, ask STS with ``tokens``, run programs only with ``processes``.

        An exchange is work for ``spawn``: it goes on when the guest that wanted it hangs up.
        ``told`` hears what became of each.
        """
        self._ports = ports
        self._key = key
        self._tokens = tokens
        self._processes = processes
        self._profiles = Profiles(ports, KEPT)
        self._sts = Sts(ports)
        # Apart: a service that hangs must not keep descriptions from being reloaded.
        self._threads = ThreadPoolExecutor(TOGETHER, "sts")
        self._exchanges: Exchanges[RoleCredentials] = Exchanges(ports, spawn, told=told)

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
        wanted = _wanted(instance, config)
        if config.provider in _EXCHANGED:
            return await self._exchanges.kept(wanted, lambda: self._fetch(instance, config))
        return await self._exchanges.direct(wanted, lambda: self._read(instance, config))

    async def _read(self, instance: Instance, config: AwsCredentials) -> RoleCredentials:
        if config.provider == "file":
            return await self._profiles.get(config.file, config.profile)
        try:
            key = self._key()
        except StartError as error:
            message = "the role's keys cannot be made"
            raise CredentialsUnavailable(message, detail=str(error)) from None
        return generate(key, instance.uuid, config.role, config.lifetime, self._ports.wall())

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
        loop = asyncio.get_running_loop()
        given = (config, token.token, region, instance.name)
        return await loop.run_in_executor(self._threads, self._sts.exchange, *given)

    async def _run(self, config: AwsCredentials) -> RoleCredentials:
        if not self._processes:
            detail = "programs run only with serve --allow-credential-process"
            raise CredentialsUnavailable("the server runs no programs", detail=detail)
        return await programs.run(config.command, self._ports)


def _wanted(instance: Instance, config: AwsCredentials) -> Wanted:
    identity = (instance.namespace, instance.service_account, instance.placement.region)
    key = (config, identity, instance.tokens)
    machine = f"{instance.namespace}/{instance.name}"
    what = f"keys of the role {config.role}"
    service = config.endpoint or instance.placement.region
    if config.provider != "web-identity":
        service = ""
    return Wanted(instance.uuid, key, machine, what, provider=config.provider, service=service)
