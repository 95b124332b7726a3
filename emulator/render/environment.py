"""The sandbox that every template runs in, those of the owner and of the wheel alike."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Literal

import msgspec
from jinja2 import BaseLoader, Environment, StrictUndefined

from emulator.core.fresh import SEED_PLACEHOLDER
from emulator.render.sandbox import Sandbox

_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def make_environment(loader: BaseLoader | None = None) -> Sandbox:
    """Make the environment: sandboxed, strict about undefined names, without HTML escaping.

    The wheel's build compiles with this same environment, so what is precompiled behaves alike.
    """
    environment = Sandbox(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters.update({"json": _json, "yaml": _yaml, "text": _text, "b64": _b64})
    environment.globals = {
        "dict": dict,
        "range": environment.globals["range"],
        "namespace": environment.globals["namespace"],
        "random_seed": SEED_PLACEHOLDER,
    }
    return environment


def as_written(environment: Sandbox, newline: Literal["\n", "\r\n"]) -> Environment:
    """Give an environment that changes nothing of a text but its templates' tags."""
    return environment.overlay(
        trim_blocks=False,
        lstrip_blocks=False,
        keep_trailing_newline=True,
        newline_sequence=newline,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _yaml(value: object) -> str:
    """Give JSON that is YAML as well, which takes some characters for breaks or refuses them."""
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", _json(value))


def _text(value: bytes) -> str:
    return value.decode()


def _b64(value: bytes | str) -> str:
    return b64encode(value.encode() if isinstance(value, str) else value).decode()
