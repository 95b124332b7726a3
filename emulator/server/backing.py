"""What the machines of a server share, and how it is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from emulator.core.message import ServiceToken
from emulator.credentials import AccessTokens, Credentials, Sources
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.render import Renderer
from emulator.runtime.state import State
from emulator.runtime.tasks import spawn
from emulator.tokens import Tokens

TokenSource = Callable[[Instance, str], Awaitable[ServiceToken | None]]
Seal = Callable[[str, bytes], bytes]


class Backing(msgspec.Struct, kw_only=True):
    """What machines share: rendering, sources of secrets, state, clock; ``start`` is its time.

    ``sign`` makes a JWT, which is verified at ``issuer`` if that is not empty; ``seal`` signs a
    document in the given form, in its own time.
    """

    renderer: Renderer
    tokens: TokenSource
    credentials: Credentials
    access: AccessTokens
    sign: Callable[[Mapping[str, object]], Awaitable[str]]
    seal: Seal
    issuer: str
    session_key: Callable[[], bytes]
    state: State
    ports: Ports
    start: float


def backing(  # noqa: PLR0913 (its parts)
    ports: Ports,
    state: State,
    tokens: Tokens,
    renderer: Renderer,
    key: Callable[[], bytes],
    *,
    seal: Seal,
    issuer: str = "",
    processes: bool = False,
) -> Backing:
    """Put it together; what descriptions name as programs runs only with ``processes``."""
    sources = Sources(tokens=tokens.token, read=tokens.read, sign=tokens.sign, key=key)
    return Backing(
        renderer=renderer,
        tokens=tokens.token,
        credentials=Credentials(ports, key, tokens.token, spawn=spawn, processes=processes),
        access=AccessTokens(ports, sources, spawn),
        sign=tokens.sign,
        seal=seal,
        issuer=issuer,
        session_key=key,
        state=state,
        ports=ports,
        start=ports.wall(),
    )
