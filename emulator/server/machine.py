"""One served virtual machine: its description, its answers, and what its computed paths use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from math import inf
from typing import TYPE_CHECKING

from emulator.core.bucket import Meter
from emulator.core.credentials import AccessToken, RoleCredentials
from emulator.core.message import ServiceToken
from emulator.core.policy import CompiledArea
from emulator.core.refusal import Refusal
from emulator.core.session import Sessions
from emulator.core.snapshot import Snapshot
from emulator.core.timeline import Anchors, awaits_first_request, next_change, occurrences
from emulator.errors import ConfigError
from emulator.model.accounts import Account
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.render import Parts
from emulator.runtime.state import password_name
from emulator.server.backing import Backing
from emulator.server.waiting import Waiter, Waiting

if TYPE_CHECKING:
    from emulator.server.lasting import Lasting

_log = logging.getLogger("imds")


class Machine:
    """A virtual machine as the server holds it; implements ``core.message.Services``."""

    __slots__ = (
        "_backing",
        "_before",
        "_lasting",
        "_meter",
        "_parts",
        "_password",
        "_seen",
        "_sessions",
        "_since",
        "_snapshot",
        "_stale",
        "_until",
        "_waiting",
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
        # Between these two moments what was rendered is right.
        self._since = 0.0
        self._until = inf
        self._sessions: Sessions | None = None
        self._password: bytes | None = None
        # Made when needed: most of thousands of machines say nothing, and nobody waits for them.
        self._lasting = before.lasting if before else None
        self._waiting: Waiting[Machine] | None = None
        self._meter: Meter | None = before.metered if before else None
        self._parts: Parts | None = None
        self._seen = (0, 0)
        self._stale = False

    def asked(self) -> Snapshot:
        """Give what a guest that asks now is answered; raise ``ConfigError`` if there is nothing.

        Events come and go here: the documents are rendered anew once their time has passed.
        """
        if self.first_request is None:
            self.first_request = self.ports.wall()
            if awaits_first_request(self.instance.events):
                self._until = self.first_request
        if self._snapshot is not None and not self._since <= self.ports.wall() < self._until:
            self.changed()
        return self.snapshot

    def reckon(self) -> None:
        """Have who waits told what has become of events by a clock that was set."""
        if self.waiters and not self._since <= self.ports.wall() < self._until:
            self.changed()
        self.expect()

    @property
    def snapshot(self) -> Snapshot:
        """Everything it can be answered; raise ``ConfigError`` if that cannot be rendered."""
        if self._snapshot is None:
            self._snapshot = self._rendered(self._before.snapshot if self._before else None)
            self._before = None
        elif self._stale:
            self._snapshot = self._rendered(self._snapshot)
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
        lasting = self._lasting
        self._stale = False
        self._seen = lasting.changes if lasting else (0, 0)
        allowed = lasting.allowed if lasting else {}
        # The clock may be set back, too: what has begun has then not.
        self._since = now if events else 0.0
        self._until = next_change(events, anchors, now, allowed)
        told = occurrences(events, anchors, now, allowed)
        if lasting is None:
            return self._backing.renderer.snapshot(self.instance, told)
        # A guest that writes is likely to write again: only what shows it is then rendered.
        if self._parts is None:
            self._parts = Parts()
        written = lasting.written.texts
        return self._backing.renderer.snapshot(self.instance, told, written, self._parts)

    @property
    def lasting(self) -> Lasting | None:
        """What it remembers, None if nothing yet."""
        return self._lasting

    @property
    def meter(self) -> Meter:
        """What its guest has taken; a machine that takes its place goes on with it."""
        if self._meter is None:
            self._meter = Meter()
        return self._meter

    @property
    def metered(self) -> Meter | None:
        """The same, None if it has taken nothing yet."""
        return self._meter

    @property
    def waiters(self) -> int:
        """How many requests wait for it to change."""
        return len(self._waiting) if self._waiting is not None else 0

    def wait(self, waiter: Waiter[Machine]) -> None:
        """Have ``waiter`` look again whenever this machine has changed."""
        self.gathered().add(waiter)
        self.expect()

    def forget(self, waiter: Waiter[Machine]) -> None:
        """Have ``waiter`` look no more."""
        if self._waiting is not None:
            self._waiting.forget(waiter)

    def release(self) -> None:
        """Let nobody wait any longer."""
        if self._waiting is not None:
            self._waiting.release()

    def hand_over(self, successor: Machine | None) -> None:
        """Let who waits for this machine wait for ``successor``, None if there is none."""
        if successor is not None:
            successor.follow(self)
        if self._waiting is not None:
            other = successor.gathered() if successor is not None else None
            self._waiting.hand_over(other, successor)
        if successor is not None:
            successor.expect()

    def follow(self, before: Machine) -> None:
        """Take over what ``before`` was told while this machine was being rendered.

        What it let begin was an event as it was described then, not another that has its id now.
        """
        asked = self.first_request is None and before.first_request is not None
        self.first_request = before.first_request
        stale = asked and awaits_first_request(self.instance.events)
        self._meter = before.metered
        self._lasting = lasting = before.lasting
        if lasting is not None:
            same = {event.id for event in self.instance.events if event in before.instance.events}
            lasting.allowed = {id_: when for id_, when in lasting.allowed.items() if id_ in same}
            stale = stale or self._seen != lasting.changes
        if stale:
            self.changed()

    def changed(self) -> None:
        """Have what has changed rendered when it is next asked for; wake who waits for it."""
        self._stale = True
        if self.waiters:
            _ = asyncio.get_running_loop().call_soon(self._look)

    def gathered(self) -> Waiting[Machine]:
        """Give those who wait for this machine."""
        if self._waiting is None:
            self._waiting = Waiting(self._elapsed)
        return self._waiting

    def expect(self) -> None:
        """Wake who waits once the next event's time has come."""
        if self._waiting is not None:
            self._waiting.until(self._until - self.ports.wall())

    def refusing(self, path: str) -> CompiledArea:
        """Give the area that refuses ``path`` where nothing can be rendered."""
        return self._backing.renderer.refusing(self.instance, path)

    def _look(self) -> None:
        if self._waiting is not None:
            self._waiting.look(self)
        self.expect()

    def _elapsed(self) -> None:
        if self._until <= self.ports.wall():
            self._stale = True
            self._look()
        else:
            # The timer was early.
            self.expect()

    def _remembered(self) -> Lasting:
        if self._lasting is None:
            from emulator.server.lasting import Lasting  # noqa: PLC0415  few guests say anything

            self._lasting = Lasting(self.ports)
        return self._lasting

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
        return await self._backing.credentials().get(self.instance, wanted)

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        """Give a token of ``wanted`` for ``scope``; raise ``CredentialsUnavailable``."""
        return await self._backing.access().get(self.instance, wanted, scope)

    @property
    def issuer(self) -> str:
        """The URL that signed claims are verified at, if one was configured, else empty."""
        return self._backing.issuer

    async def signed(self, claims: Mapping[str, object]) -> str:
        """Give ``claims`` as a JWT of the built-in issuer; raise ``TokenUnavailable``."""
        return await self._backing.sign(claims)

    async def seal(self, form: str, document: bytes) -> bytes:
        """Sign ``document`` in a thread; raise ``StartError`` if there is no key."""
        signers = self._backing.signers()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(signers, self._backing.seal, form, document)

    def write(self, name: str, value: str | None) -> Refusal | None:
        """Keep what the guest says of itself, None to forget it; give why it is not taken."""
        lasting = self._remembered()
        refusal = lasting.written.write(name, value)
        if lasting.changes != self._seen:
            self.changed()
        return refusal

    def acknowledge(self, events: Collection[str]) -> bool:
        """Begin the events with these ids at once, as the guest allows.

        False if it was not told of one of them: then none begins.
        """
        lasting, now = self._remembered(), self.ports.wall()
        anchors = Anchors(start=self._backing.start, first_request=self.first_request)
        told = occurrences(self.instance.events, anchors, now, lasting.allowed)
        if not set(events) <= {one.event.id for one in told}:
            return False
        new = {event: now for event in events if event not in lasting.allowed}
        if new:
            lasting.allowed.update(new)
            self.changed()
        return True

    def report(self, state: str, why: str) -> None:
        """Note for the operator what the guest says of its boot."""
        self._remembered().reported = (state, why)

    def incarnation(self, tag: str, least: int) -> int:
        """Give a number, a greater one than before if ``tag`` is another, ``least`` or more."""
        lasting = self._remembered()
        if tag != lasting.tag:
            lasting.tag, lasting.number = tag, max(least, lasting.number + 1)
        return lasting.number

    def password(self) -> bytes:
        """Give the ciphertext that the guest posted, empty if none; raise ``OSError``."""
        if self._password is None:
            self._password = self._backing.state.load(password_name(self.instance.uuid)) or b""
        return self._password

    def set_password(self, ciphertext: bytes) -> None:
        """Keep the guest's ciphertext durably; raise ``OSError``."""
        self._backing.state.save(password_name(self.instance.uuid), ciphertext)
        self._password = ciphertext
