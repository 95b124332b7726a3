"""The one value that is new in every answer although its document is prebuilt: the random seed."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from emulator.core.message import Reply, Request, Services

SEED_BYTES = 512

# Of the length and alphabet of what replaces it, so that a document keeps its size and stays
# valid; a run that no encoder makes of random bytes in practice.
SEED_PLACEHOLDER = "seed" * (len(b64encode(bytes(SEED_BYTES))) // 4)


class Seeded(msgspec.Struct, frozen=True):
    """A document around the placeholder, answered with a new seed each time (contract 1.2)."""

    before: bytes
    after: bytes
    type: str

    def __call__(self, _request: Request, services: Services) -> Reply:
        """Give the document with base64 of 512 random bytes in its place."""
        seed = b64encode(services.ports.random(SEED_BYTES))
        return Reply(200, self.before + seed + self.after, self.type)
