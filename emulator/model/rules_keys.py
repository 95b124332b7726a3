"""Rules for public keys: shapes only, since no guest is helped by a key that cannot be one."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from emulator.model.document import Unfit, quoted
from emulator.model.instance import Instance
from emulator.model.mistake import Mistake, again, numbered

SSH_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
)
"""Key types of sshd(8), AUTHORIZED_KEYS FILE FORMAT; whether one is still safe is the guest's."""

_LINE = "an authorized_keys line: a key type, base64, and perhaps a comment"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_CERTIFICATE = "one PEM certificate (-----BEGIN CERTIFICATE-----)"
_SEQUENCE = 0x30
_LONG = 0x80


def public_keys(instance: Instance, _written: frozenset[str]) -> Iterator[Mistake]:
    """Check each key's shape, and that names differ."""
    for index, key in enumerate(instance.public_keys):
        try:
            _CHECK[key.type](key.key.strip())
        except Unfit as bad:
            yield Mistake(f"public_keys[{index}].key", bad.found, bad.allowed)
    names = [key.name for key in instance.public_keys]
    yield from again(numbered("public_keys[{}].name", names), "each name once")


def _ssh(line: str) -> None:
    words = line.split(None, 2)
    if len(line.splitlines()) != 1:
        raise Unfit(f"{len(line.splitlines())} lines", _LINE)
    if words[0] not in SSH_TYPES:
        known = f"{', '.join(SSH_TYPES)} (without options before it)"
        raise Unfit(f"{quoted(words[0])} as the key type", known)
    if len(words) == 1:
        raise Unfit(f"{quoted(line)} and no key", _LINE)
    parts = _strings(_base64(words[1], _LINE))
    if not parts or parts[0] != words[0].encode():
        inner = parts[0].decode("ascii", "replace") if parts else ""
        raise Unfit(f"{words[0]} before a key of type {quoted(inner)}", "the key's own type")


def _strings(blob: bytes) -> list[bytes]:
    """Split a key into its length-prefixed parts (RFC 4253, 6.6); a cut one is refused."""
    parts = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise Unfit("a key that ends too early", _LINE)
        parts.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return parts


def _x509(text: str) -> None:
    found = _PEM.fullmatch(text)
    if found is None:
        raise Unfit(quoted(text.partition("\n")[0]), _CERTIFICATE)
    der = _base64("".join(found[1].split()), _CERTIFICATE)
    if der[:1] != bytes([_SEQUENCE]) or len(der) != _der_size(der):
        raise Unfit("PEM that holds no whole certificate", _CERTIFICATE)


def _der_size(der: bytes) -> int:
    """Give the size of a DER value with its header (X.690, 8.1.3); 0 if it has no header."""
    first = der[1] if len(der) > 1 else _LONG
    if first < _LONG:
        return 2 + first
    more = first - _LONG
    return 2 + more + int.from_bytes(der[2 : 2 + more], "big") if more else 0


def _base64(text: str, allowed: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode(), strict_mode=True)
    except ValueError:
        raise Unfit("broken base64", allowed) from None


_CHECK = {"ssh": _ssh, "x509": _x509}
