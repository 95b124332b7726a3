"""What the machines of a server share, and how it is put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from emulator.core.message import ServiceToken
from emulator.model.instance import Instance
from emulator.ports import Ports
from emulator.render import Renderer
from emulator.runtime.state import State
from emulator.runtime.tasks import spawn
from emulator.tokens import Tokens

if TYPE_CHECKING:
    from emulator.credentials.access import AccessTokens
    from emulator.credentials.exchanges import Told
    from emulator.credentials.service import Credentials

TokenSource = Callable[[Instance, str], Awaitable[ServiceToken | None]]
Seal = Callable[[str, bytes], bytes]


@dataclass(kw_only=True, slots=True)
class Backing:
    """What machines share: rendering, sources of secrets, state, clock; ``start`` is its time.

    What gives keys and bearer tokens is made when a machine first has any.
    ``sign`` makes a JWT, which is verified at ``issuer`` if that is not empty; ``seal`` signs a
    document in the given form, in its own time, for which there are ``signers``: guests that have
    much signed keep each other waiting, not what reads descriptions.
    """

    renderer: Renderer
    tokens: TokenSource
    credentials: Callable[[], Credentials]
    access: Callable[[], AccessTokens]
    sign: Callable[[Mapping[str, object]], Awaitable[str]]
    seal: Seal
    signers: Callable[[], Executor]
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
    told: Told | None = None,
) -> Backing:
    """Put it together; what descriptions name as programs runs only with ``processes``.

    ``told`` hears of all keys and bearer tokens that a provider gave, or did not.
    """

    @cache
    def keys() -> Credentials:
        from emulator.credentials.service import Credentials  # noqa: PLC0415  see Backing

        return Credentials(ports, key, tokens.token, spawn=spawn, processes=processes, told=told)

    @cache
    def bearers() -> AccessTokens:
        from emulator.credentials.access import AccessTokens, Sources  # noqa: PLC0415  see Backing

        sources = Sources(tokens=tokens.token, read=tokens.read, sign=tokens.sign, key=key)
        return AccessTokens(ports, sources, spawn, told)

    @cache
    def signers() -> Executor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  as above

        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="signer")

    return Backing(
        renderer=renderer,
        tokens=tokens.token,
        credentials=keys,
        access=bearers,
        sign=tokens.sign,
        seal=seal,
        signers=signers,
        issuer=issuer,
        session_key=key,
        state=state,
        ports=ports,
        start=ports.wall(),
    )
