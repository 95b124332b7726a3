"""The computed path at which a guest gets a session token (contract 3.4)."""

from __future__ import annotations

import msgspec

from emulator.core.message import Outcome, Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.core.session import TTL_HEADER, lifetime

METHODS = ("OPTIONS", "PUT")

_PLAIN = "text/plain"


class SessionEndpoint(msgspec.Struct, frozen=True):
    """Gives tokens whose answers travel ``hop_limit`` hops."""

    hop_limit: int

    def __call__(self, request: Request, services: Services) -> Outcome:
        """Give a token for the seconds wished for; to OPTIONS tell what may be asked."""
        if request.method == "OPTIONS":
            return Reply(200, b"", _PLAIN, (("Allow", ", ".join(METHODS)),))
        wishes = request.headers.get_list(TTL_HEADER)
        seconds = lifetime(wishes[0]) if len(wishes) == 1 else None
        if seconds is None:
            return Refusal.BAD_LIFETIME
        token = services.sessions.issue(seconds).encode()
        told = ((TTL_HEADER, str(seconds)),)
        return Reply(200, token, _PLAIN, told, hop_limit=self.hop_limit)
