"""Guest attributes: what a guest says of itself, one text at each NAMESPACE/KEY (contract 4.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from emulator.core.message import Done, Reply, Request, Services
from emulator.core.refusal import Refusal
from emulator.dialects.gce.names import GUEST_ATTRIBUTES

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,128}")
_WRITTEN = Reply(200, b"", "application/text")


def write(request: Request, services: Services) -> Done:
    """Keep the body of a PUT, or remove what is named with DELETE."""
    name = request.path.removeprefix(f"{GUEST_ATTRIBUTES}/")
    if not _NAME.fullmatch(name):
        return Refusal.NOT_FOUND if request.method == "DELETE" else Refusal.BAD_BODY
    try:
        value = None if request.method == "DELETE" else request.body.decode()
    except UnicodeDecodeError:
        return Refusal.BAD_BODY
    return services.write(name, value) or _WRITTEN


def nested(written: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Give what was written as namespaces with their keys."""
    found: dict[str, dict[str, str]] = {}
    for name, value in written.items():
        namespace, _, key = name.partition("/")
        found.setdefault(namespace, {})[key] = value
    return found
