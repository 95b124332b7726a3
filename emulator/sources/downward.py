"""The downward API's file format: one ``key="value"`` a line, quoted as Go's ``%q`` does.

Kubernetes writes annotations and labels so (pkg/fieldpath, ``FormatMap``); the escapes are those
of Go's ``strconv.Quote``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from emulator.errors import Problem
from emulator.model.decode import MAX_PROBLEMS
from emulator.model.document import quoted

_LINE = re.compile(r'([^="\s]++)="((?:[^"\\]++|\\.)*+)"')
_ESCAPE = re.compile(
    rb"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([abfnrtv\\\"])|(.?))", re.DOTALL
)
_SINGLE = dict(zip(b'abfnrtv\\"', b'\a\b\f\n\r\t\v\\"', strict=True))


def parse(data: bytes, file: str, problems: list[Problem]) -> dict[str, tuple[int, str]]:
    """Give the values of a downward-API file by key, each with its 1-based line.

    What cannot be read is added to ``problems`` and left out.
    """
    found: dict[str, tuple[int, str]] = {}
    before = len(problems)
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(problems) - before >= MAX_PROBLEMS:
            break
        try:
            key, value = _entry(line)
        except ValueError as error:
            allowed = 'key="value", quoted as Kubernetes does'
            problems.append(Problem(file, number, "", str(error), allowed))
            continue
        if key in found:
            again = f"{key} again (first on line {found[key][0]})"
            problems.append(Problem(file, number, key, again, "each key once"))
        found[key] = number, value
    return found


def write(values: Mapping[str, str]) -> bytes:
    """Give a file that ``parse`` reads: of what may be escaped, JSON escapes less than Go."""
    lines = (key.encode() + b"=" + msgspec.json.encode(values[key]) for key in sorted(values))
    return b"".join(line + b"\n" for line in lines)


def _entry(line: bytes) -> tuple[str, str]:
    """Split one line; raises ``ValueError`` that says what was found."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8") from None
    match = _LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"the line {quoted(text)}")
    try:
        return match[1], _ESCAPE.sub(_unescape, match[2].encode()).decode()
    except UnicodeDecodeError:
        raise ValueError(f"bytes that are not UTF-8 in the value of {match[1]}") from None


def _unescape(match: re.Match[bytes]) -> bytes:
    byte, short, long, single, other = match.groups()
    if byte:
        return bytes([int(byte, 16)])
    if single:
        return bytes([_SINGLE[single[0]]])
    if other is not None:
        raise ValueError(f"the unknown escape {quoted(match[0].decode('utf-8', 'replace'))}")
    try:
        return chr(int(short or long, 16)).encode()
    except (ValueError, OverflowError):
        raise ValueError(f"the escape {match[0].decode()}, which is no character") from None
