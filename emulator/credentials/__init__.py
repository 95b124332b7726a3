"""Where the keys of a machine's AWS role come from."""

from __future__ import annotations

from emulator.credentials.service import Credentials

__all__ = ["Credentials"]
