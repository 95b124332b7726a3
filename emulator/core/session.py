"""Session tokens that a server makes and checks without having to remember one (contract 3.4).

A token says when it ends and proves that who made it had the key of its machine. So it outlives a
restart, is good on every server that has the same key, and no table grows.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from binascii import a2b_base64
from math import ceil

from emulator.ports import Ports

TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105  a header's name
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"

MAX_TTL = 21_600
"""Seconds that a token lives at most: six hours (contract 3.4)."""

# Milliseconds since the epoch, then chance, so that no two tokens are alike; then the proof.
_END = 6
_CHANCE = 10
_PROOF = 32
_LENGTH = (_END + _CHANCE + _PROOF) * 4 // 3

# Bytes of a fingerprint.
_MARK = 8

# Proved tokens of one machine; a few of its programs have one each.
_REMEMBERED = 16

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = str.maketrans("-_", "+/")


class Sessions:
    """Makes and checks the tokens of one machine."""

    __slots__ = ("_ends", "_key", "_mark_key", "_marks", "_ports")

    def __init__(self, key: bytes, uuid: str, epoch: int, ports: Ports) -> None:
        """Bind tokens to the machine ``uuid``; another ``epoch`` makes all earlier ones void."""
        self._key = hmac.digest(key, f"session/{uuid}/{epoch}".encode(), "sha256")
        # Not the epoch's: a token that was made void is still known by its fingerprint.
        self._mark_key = hmac.digest(key, f"fingerprint/{uuid}".encode(), "sha256")
        self._ports = ports
        self._ends: dict[str, int] = {}
        self._marks: dict[str, str] = {}

    def issue(self, ttl: int) -> str:
        """Give a token for ``ttl`` seconds: 64 characters that fit a URL and a header."""
        end = int((self._ports.wall() + ttl) * 1000)
        said = end.to_bytes(_END) + self._ports.random(_CHANCE)
        token = b64encode(said + hmac.digest(self._key, said, "sha256"))
        return token.translate(_TO_URL).decode()

    def remaining(self, token: str) -> int | None:
        """Give the seconds that ``token`` is still good for, None if it is not or never was.

        Never more than a token can live, whatever the clock of its maker said.
        """
        end = self._ends.get(token)
        if end is None:
            end = self._proved(token)
            if end is None:
                return None
            # A client keeps its token, and proving takes longer than all else that is done.
            if len(self._ends) >= _REMEMBERED:
                self._ends.clear()
            self._ends[token] = end
        left = end / 1000 - self._ports.wall()
        return min(ceil(left), MAX_TTL) if left > 0 else None

    def fingerprint(self, token: str) -> str:
        """Give 16 hex digits by which a log can name ``token``, good or not.

        Without the key they lead nowhere, and no other machine's token has them.
        """
        mark = self._marks.get(token)
        if mark is None:
            said = token[: 2 * _LENGTH].encode("utf-8", "replace")
            mark = hmac.digest(self._mark_key, said, "sha256")[:_MARK].hex()
            if len(token) == _LENGTH:
                # As with what was proved.
                if len(self._marks) >= _REMEMBERED:
                    self._marks.clear()
                self._marks[token] = mark
        return mark

    def _proved(self, token: str) -> int | None:
        """Give when ``token`` ends, milliseconds since the epoch; None if it proves nothing."""
        if len(token) != _LENGTH:
            return None
        try:
            raw = a2b_base64(token.translate(_FROM_URL), strict_mode=True)
        except ValueError:
            return None
        said, proof = raw[:-_PROOF], raw[-_PROOF:]
        if not hmac.compare_digest(hmac.digest(self._key, said, "sha256"), proof):
            return None
        return int.from_bytes(said[:_END])


def lifetime(text: str) -> int | None:
    """Read the seconds that a guest wishes for: 1 to ``MAX_TTL``, None for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_TTL))):
        return None
    seconds = int(text)
    return seconds if 1 <= seconds <= MAX_TTL else None
