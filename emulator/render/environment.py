"""The sandbox that every template runs in, those of the owner and of the wheel alike."""

from __future__ import annotations

from base64 import b64encode

import msgspec
from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from emulator.core.fresh import SEED_PLACEHOLDER


def make_environment(loader: BaseLoader | None = None) -> ImmutableSandboxedEnvironment:
    """Make the environment: sandboxed, strict about undefined names, without HTML escaping.

    The wheel's build compiles with this same environment, so what is precompiled behaves alike.
    """
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.update({"json": _json, "text": _text, "b64": _b64})
    environment.globals = {
        "dict": dict,
        "range": environment.globals["range"],
        "namespace": environment.globals["namespace"],
        "random_seed": SEED_PLACEHOLDER,
    }
    return environment


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _text(value: bytes) -> str:
    return value.decode()


def _b64(value: bytes | str) -> str:
    return b64encode(value.encode() if isinstance(value, str) else value).decode()
