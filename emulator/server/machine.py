"""One served virtual machine: its description, its answers, and what its computed paths use."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from emulator.core.message import ServiceToken
from emulator.core.snapshot import Snapshot
from emulator.errors import ConfigError
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.render import Renderer
from emulator.runtime.state import State, password_name

TokenSource = Callable[[Instance, str], Awaitable[ServiceToken | None]]


_log = logging.getLogger("imds")


class Backing:
    """What machines share: rendering, token sources, state, clock."""

    __slots__ = ("ports", "renderer", "state", "tokens")

    def __init__(
        self, renderer: Renderer, tokens: TokenSource, state: State, ports: Ports
    ) -> None:
        self.renderer = renderer
        self.tokens = tokens
        self.state = state
        self.ports = ports


class Machine:
    """A virtual machine as the server holds it; implements ``core.message.Services``."""

    __slots__ = ("_backing", "_before", "_password", "_snapshot", "instance")

    def __init__(
        self, instance: Instance, backing: Backing, before: Machine | None = None
    ) -> None:
        """Hold ``instance``; its documents are rendered when ``snapshot`` is first asked for.

        Where they cannot be, those of ``before`` stay in service.
        """
        self.instance = instance
        self._backing = backing
        self._before = before
        self._snapshot: Snapshot | None = None
        self._password: bytes | None = None

    @property
    def snapshot(self) -> Snapshot:
        """Everything it can be answered; raise ``ConfigError`` if that cannot be rendered."""
        if self._snapshot is None:
            self._snapshot = self._rendered()
            self._before = None
        return self._snapshot

    @property
    def served(self) -> Machine | None:
        """The machine whose answers are in service now: this one, or the one before it."""
        return self if self._snapshot is not None else self._before

    def render(self) -> None:
        """Render its documents now; raise ``ConfigError`` if that cannot be."""
        if self._snapshot is None:
            self._snapshot = self._backing.renderer.snapshot(self.instance)
            self._before = None

    def _rendered(self) -> Snapshot:
        try:
            return self._backing.renderer.snapshot(self.instance)
        except ConfigError as error:
            if self._before is None:
                raise
            _log.error("%s stays as it was: %s", self.instance.name, error)
            return self._before.snapshot

    @property
    def ports(self) -> Ports:
        """Clock and entropy."""
        return self._backing.ports

    async def token(self, audience: str) -> ServiceToken | None:
        """Give its ServiceAccount token for ``audience``; raise ``TokenUnavailable``."""
        return await self._backing.tokens(self.instance, audience)

    def password(self) -> bytes:
        """Give the ciphertext that the guest posted, empty if none; raise ``OSError``."""
        if self._password is None:
            self._password = self._backing.state.load(password_name(self.instance.uuid)) or b""
        return self._password

    def set_password(self, ciphertext: bytes) -> None:
        """Keep the guest's ciphertext durably; raise ``OSError``."""
        self._backing.state.save(password_name(self.instance.uuid), ciphertext)
        self._password = ciphertext
