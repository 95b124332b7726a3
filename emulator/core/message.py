"""What a guest asks and what it gets, free of any HTTP library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import msgspec

from emulator.core.credentials import AccessToken, RoleCredentials
from emulator.core.refusal import Refusal
from emulator.core.session import Sessions
from emulator.model.accounts import Account
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance
from emulator.ports import Ports

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"

HeaderLines = tuple[tuple[str, str], ...]


class Headers(Protocol):
    """Request headers by case-insensitive name; Tornado's fit as they are."""

    def get_list(self, name: str) -> list[str]:
        """Give every value that was sent under ``name``, oldest first; empty if none."""


class Request(msgspec.Struct, frozen=True):
    """One request as the core sees it.

    ``path`` is normalised (``core.paths``), ``query`` raw without its question mark, ``body``
    bounded by the server, ``peer`` the address or socket path that it came from. It is ``foreign``
    if it was sent to a name that is not the server's (``core.policy.Hosts``), and ``excessive`` if
    its machine has asked for more than it may (``core.bucket``).
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""
    peer: str = ""
    foreign: bool = False
    excessive: bool = False


class Reply(msgspec.Struct, frozen=True):
    """An answer as a dialect declares it; the area that it is given in adds its own headers.

    ``refusal`` labels one that a computed path gives in place of data (``core.policy.Refusal``).
    With a ``hop_limit`` its packets live for so many hops, and it is the last on its connection.
    """

    status: int
    body: bytes = b""
    type: str = TEXT
    headers: HeaderLines = ()
    refusal: str = ""
    hop_limit: int = 0


class Answer(msgspec.Struct, frozen=True, weakref=True):
    """An answer ready for the wire: status line and headers up to ``Content-Length``, then body.

    The sender adds ``Content-Length``, ``Date`` and ``Connection``.
    """

    status: int
    head: bytes
    body: bytes


def build(reply: Reply, common: HeaderLines = ()) -> Answer:
    """Turn ``reply`` into wire form; ``common`` goes first, the reply's own headers replace it.

    Raises ``ValueError`` for a header that would break out of its line.
    """
    head = _head(reply.status, reply.type, reply.headers, common)
    return Answer(reply.status, head, reply.body)


@lru_cache(maxsize=256)
def _head(status: int, content_type: str, own: HeaderLines, common: HeaderLines) -> bytes:
    """Give status line and headers: few different ones, shared by thousands of answers."""
    replaced = {name.lower() for name, _ in own}
    lines = [
        *((name, value) for name, value in common if name.lower() not in replaced),
        ("Content-Type", content_type),
        *own,
    ]
    text = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    for name, value in lines:
        if "\r" in value or "\n" in value:
            message = f"line break in header {name}"
            raise ValueError(message)
        text += f"{name}: {value}\r\n"
    return text.encode("latin-1")


class Wait(msgspec.Struct, frozen=True):
    """No answer yet: the guest waits until there is another one.

    When its machine has changed, the same is asked with the query ``again``, which may say so once
    more; after ``seconds``, if any, with ``late``, which may not.
    """

    again: str
    late: str
    seconds: float | None = None


class ServiceToken(msgspec.Struct, frozen=True):
    """A ServiceAccount token and when it ends, seconds since the epoch (None: it does not say)."""

    token: str
    expires: float | None

    def __repr__(self) -> str:
        """Keep the token out of logs and tracebacks."""
        return f"ServiceToken(..., expires={self.expires})"


class Services(Protocol):
    """What the computed paths of one virtual machine may use."""

    @property
    def ports(self) -> Ports:
        """Clock and entropy."""

    async def token(self, audience: str) -> ServiceToken | None:
        """Give the token for ``audience`` (empty: the default one), None if it is not offered.

        Raises ``TokenUnavailable`` when it is offered but cannot be had now.
        """

    @property
    def sessions(self) -> Sessions:
        """Its session tokens."""

    async def credentials(self, wanted: AwsCredentials) -> RoleCredentials:
        """Give the credentials of a role; raise ``CredentialsUnavailable``."""

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        """Give a token of ``wanted`` for ``scope``; raise ``CredentialsUnavailable``."""

    @property
    def issuer(self) -> str:
        """The URL that signed claims are verified at, if one was configured, else empty."""

    async def signed(self, claims: Mapping[str, object]) -> str:
        """Give ``claims`` as a JWT of the built-in issuer; raise ``TokenUnavailable``."""

    def seal(self, form: str, document: bytes) -> Awaitable[bytes]:
        """Sign ``document`` in a thread; raises ``StartError`` if there is no key."""

    def write(self, name: str, value: str | None) -> Refusal | None:
        """Keep what the guest says of itself, None to forget it; give why it is not taken."""

    @property
    def instance(self) -> Instance:
        """Its description."""

    def acknowledge(self, events: Collection[str]) -> bool:
        """Begin the events with these ids at once, as the guest allows.

        False if it was not told of one of them: then none begins.
        """

    def report(self, state: str, why: str) -> None:
        """Note for the operator what the guest says of its boot."""

    def incarnation(self, tag: str, least: int) -> int:
        """Give a number, a greater one than before if ``tag`` is another, ``least`` or more."""

    def password(self) -> bytes:
        """Give what the guest posted as its password's ciphertext; empty if nothing yet."""

    def set_password(self, ciphertext: bytes) -> None:
        """Keep it, durably; raises ``OSError``."""


# A refusal is answered as the area has it.
Done = Reply | Refusal | Answer
Outcome = Done | Wait
Live = Callable[[Request, Services], Outcome | Awaitable[Done]]
