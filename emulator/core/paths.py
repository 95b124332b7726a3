"""One spelling for every path: contract 0.1-3."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

_PARAMETERS = 64

_ABSOLUTE = re.compile("https?://([^/?#]*)", re.IGNORECASE)


def split_target(target: str) -> tuple[str, str]:
    """Split a request target (origin or absolute form) into its normalised path and raw query."""
    if not target.startswith("/"):
        target = _origin_form(target)
    path, _, query = target.partition("?")
    return normalise(path), query


def authority(target: str) -> str:
    """Give the host, with its port, that a target in absolute form names; empty for another."""
    absolute = _ABSOLUTE.match(target)
    return absolute[1] if absolute else ""


def parameters(query: str) -> list[tuple[str, str]]:
    """Give the names and values of a raw query, empty ones too.

    Those of the first 64 parameters: no client has more than a few, and each costs.
    """
    first = query.split("&", _PARAMETERS)[:_PARAMETERS]
    return parse_qsl("&".join(first), keep_blank_values=True)


def normalise(path: str) -> str:
    """Decode percent signs once, collapse ``//``, resolve ``.`` and ``..``, drop a final slash.

    The root is ``/``; everything else starts with a slash and ends without one.
    """
    if not path.isascii():
        # HTTP gives bytes as Latin-1; what people type is UTF-8.
        path = path.encode("latin-1", "replace").decode("utf-8", "replace")
    if "%" in path:
        path = unquote(path, errors="replace")
    if "//" not in path and "/." not in path:
        return path.rstrip("/") or "/"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def _origin_form(target: str) -> str:
    absolute = _ABSOLUTE.match(target)
    rest = target[absolute.end() :] if absolute else target
    return rest if rest.startswith("/") else f"/{rest}"
