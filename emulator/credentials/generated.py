"""Keys that look like EC2's and work nowhere."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode, b64encode

from emulator.core.credentials import RoleCredentials
from emulator.credentials.moments import span

# Bytes of entropy: 16 characters of base32, 40 of base64, and a token as long as those of EC2.
_ID = 10
_SECRET = 30
_TOKEN = 720

# How the tokens of EC2 begin.
_ORIGIN = b"!\n\torigin_ec"


def generate(key: bytes, uuid: str, role: str, lifetime: int, now: float) -> RoleCredentials:
    """Give those of the machine ``uuid``: the same on each server that has ``key``."""
    since, until = span(lifetime, now)
    seed = hmac.digest(key, f"credentials/{uuid}/{role}/{lifetime}/{since}".encode(), "sha256")
    stream = hashlib.shake_256(seed).digest(_ID + _SECRET + _TOKEN)
    return RoleCredentials(
        access_key_id=f"ASIA{b32encode(stream[:_ID]).decode()}",
        secret_access_key=b64encode(stream[_ID : _ID + _SECRET]).decode(),
        token=b64encode(_ORIGIN + stream[_ID + _SECRET :]).decode(),
        updated=float(since),
        expires=float(until),
    )
