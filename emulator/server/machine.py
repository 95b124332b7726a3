"""One served virtual machine: its description, its answers, and what its computed paths use."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from math import inf

import msgspec

from emulator.core.credentials import RoleCredentials
from emulator.core.message import ServiceToken
from emulator.core.session import Sessions
from emulator.core.snapshot import Snapshot
from emulator.core.timeline import Anchors, awaits_first_request, next_change, occurrences
from emulator.credentials import Credentials
from emulator.errors import ConfigError
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.render import Renderer
from emulator.runtime.state import State, password_name

TokenSource = Callable[[Instance, str], Awaitable[ServiceToken | None]]

_log = logging.getLogger("imds")


class Backing(msgspec.Struct, kw_only=True):
    """What machines share: rendering, sources of secrets, state, clock; ``start`` is its time."""

    renderer: Renderer
    tokens: TokenSource
    credentials: Credentials
    session_key: Callable[[], bytes]
    state: State
    ports: Ports
    start: float


class Machine:
    """A virtual machine as the server holds it; implements ``core.message.Services``."""

    __slots__ = (
        "_backing",
        "_before",
        "_password",
        "_sessions",
        "_snapshot",
        "_until",
        "first_request",
        "instance",
    )

    def __init__(
        self, instance: Instance, backing: Backing, before: Machine | None = None
    ) -> None:
        """Hold ``instance``; its documents are rendered when they are first asked for.

        Where they cannot be, those of ``before`` stay in service.
        """
        self.instance = instance
        self.first_request: float | None = before.first_request if before else None
        self._backing = backing
        self._before = before
        self._snapshot: Snapshot | None = None
        self._until = inf
        self._sessions: Sessions | None = None
        self._password: bytes | None = None

    def asked(self) -> Snapshot:
        """Give what a guest that asks now is answered; raise ``ConfigError`` if there is nothing.

        Events come and go here: the documents are rendered anew once their time has passed.
        """
        if self.first_request is None:
            self.first_request = self.ports.wall()
            if awaits_first_request(self.instance.events):
                self._until = self.first_request
        if self._snapshot is not None and self._until <= self.ports.wall():
            self._snapshot = self._rendered(self._snapshot)
        return self.snapshot

    @property
    def snapshot(self) -> Snapshot:
        """Everything it can be answered; raise ``ConfigError`` if that cannot be rendered."""
        if self._snapshot is None:
            self._snapshot = self._rendered(self._before.snapshot if self._before else None)
            self._before = None
        return self._snapshot

    @property
    def served(self) -> Machine | None:
        """The machine whose answers are in service now: this one, or the one before it."""
        return self if self._snapshot is not None else self._before

    def render(self) -> None:
        """Render its documents now; raise ``ConfigError`` if that cannot be."""
        if self._snapshot is None:
            self._snapshot = self._render()
            self._before = None

    def _rendered(self, kept: Snapshot | None) -> Snapshot:
        try:
            return self._render()
        except ConfigError as error:
            if kept is None:
                raise
            _log.error("%s stays as it was: %s", self.instance.name, error)
            return kept

    def _render(self) -> Snapshot:
        now = self.ports.wall()
        anchors = Anchors(start=self._backing.start, first_request=self.first_request)
        events = self.instance.events
        # Before it can fail: what cannot be rendered now is not tried again at each request.
        self._until = next_change(events, anchors, now)
        return self._backing.renderer.snapshot(self.instance, occurrences(events, anchors, now))

    @property
    def ports(self) -> Ports:
        """Clock and entropy."""
        return self._backing.ports

    @property
    def sessions(self) -> Sessions:
        """Its session tokens."""
        if self._sessions is None:
            instance = self.instance
            key = self._backing.session_key()
            self._sessions = Sessions(key, instance.uuid, instance.session_epoch, self.ports)
        return self._sessions

    async def token(self, audience: str) -> ServiceToken | None:
        """Give its ServiceAccount token for ``audience``; raise ``TokenUnavailable``."""
        return await self._backing.tokens(self.instance, audience)

    async def credentials(self, wanted: AwsCredentials) -> RoleCredentials:
        """Give the credentials of a role; raise ``CredentialsUnavailable``."""
        return await self._backing.credentials.get(self.instance, wanted)

    def password(self) -> bytes:
        """Give the ciphertext that the guest posted, empty if none; raise ``OSError``."""
        if self._password is None:
            self._password = self._backing.state.load(password_name(self.instance.uuid)) or b""
        return self._password

    def set_password(self, ciphertext: bytes) -> None:
        """Keep the guest's ciphertext durably; raise ``OSError``."""
        self._backing.state.save(password_name(self.instance.uuid), ciphertext)
        self._password = ciphertext
