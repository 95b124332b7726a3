"""The role that AWS's clients find in a machine, and where its keys come from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from emulator.model.instance import Path, Text
from emulator.model.mistake import Mistake
from emulator.model.network import Value

# A name that DNS, and so the host of AWS's regional STS, may have.
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")


class AwsCredentials(Value, frozen=True):
    """A role, and the provider of its keys."""

    role: Annotated[
        str,
        Meta(
            # Not what a path would resolve away.
            pattern=r"^(?!\.{1,2}$)[A-Za-z0-9_+=,.@-]{0,64}$",
            extra={"allowed": "at most 64 letters, digits or any of _+=,.@- (and not '.', '..')"},
            description="Name of the role; empty: the machine has none, and no `iam/` tree.",
        ),
    ] = ""
    provider: Annotated[
        Literal["generated", "file", "process", "web-identity"],
        Meta(
            description="`generated`: well-formed keys that work nowhere. `file`: a profile of a "
            "shared-credentials file. `process`: what a program prints, if `serve` may run one. "
            "`web-identity`: STS gives them for the machine's ServiceAccount token."
        ),
    ] = "generated"
    file: Annotated[
        Path,
        Meta(
            description="Shared-credentials file, relative to the description, read again when "
            "it changes.",
            extra={"located": True},
        ),
    ] = ""
    profile: Annotated[Text, Meta(description="Profile in the file.")] = "default"
    command: Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    max_length=4096,
                    pattern=r"^[^\x00]*$",
                    extra={"allowed": "at most 4096 characters"},
                ),
            ],
            ...,
        ],
        Meta(
            max_length=64,
            description="Program and its arguments, never a shell's line: what AWS's tools call "
            "`credential_process`.",
            extra={"runs": True},
        ),
    ] = ()
    role_arn: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=r"^(arn:[a-z0-9-]+:iam::[A-Za-z0-9_-]{0,64}:role/[\x21-\x7e]+)?$",
            extra={"allowed": "a role's ARN such as arn:aws:iam::123456789012:role/web"},
            description="ARN of the role that STS is asked for, and whose account the instance "
            "profile has.",
        ),
    ] = ""
    audience: Annotated[
        Text,
        Meta(description="Audience of the ServiceAccount token that STS gets, one of `tokens`."),
    ] = "sts.amazonaws.com"
    endpoint: Annotated[
        str,
        Meta(
            max_length=2048,
            pattern=r"^(https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
            r"(/[\x21\x22\x24-\x3e\x40-\x7e]*)?)?$",
            extra={"allowed": "an http or https URL without user, query or fragment"},
            description="URL of STS; by default AWS's in the region.",
        ),
    ] = ""
    # What every role of AWS allows: asked for more than its own maximum, STS refuses.
    lifetime: Annotated[
        int,
        Meta(
            ge=900,
            le=43_200,
            description="Seconds that keys live, `generated` ones or those that STS is asked for; "
            "the role must allow it.",
        ),
    ] = 3600


def mistakes(
    config: AwsCredentials, audiences: Collection[str], region: str, path: str
) -> Iterator[Mistake]:
    """Give the mistakes between the fields of ``config``, which stands at ``path``.

    ``audiences`` are those that the machine is offered tokens for, ``region`` is where it runs.
    """
    if not config.role and config != AwsCredentials():
        yield Mistake(f"{path}.role", "nothing", "the name of the role that the rest is about")
    for field, providers in _BELONGS.items():
        if config.provider not in providers and getattr(config, field) != _DEFAULT[field]:
            found = f"a value with provider {config.provider}"
            allowed = f"nothing, unless provider is {' or '.join(providers)}"
            yield Mistake(f"{path}.{field}", found, allowed)
    if config.provider in _RULES:
        yield from _RULES[config.provider](config, audiences, region, path)


_BELONGS = {
    "file": ("file",),
    "profile": ("file",),
    "command": ("process",),
    "audience": ("web-identity",),
    "endpoint": ("web-identity",),
    "lifetime": ("generated", "web-identity"),
}
_DEFAULT: dict[str, Any] = msgspec.structs.asdict(AwsCredentials())


def _file(
    config: AwsCredentials, _audiences: Collection[str], _region: str, path: str
) -> Iterator[Mistake]:
    if not config.file:
        yield Mistake(f"{path}.file", "nothing", "a shared-credentials file, with provider file")


def _process(
    config: AwsCredentials, _audiences: Collection[str], _region: str, path: str
) -> Iterator[Mistake]:
    program = config.command[0] if config.command else ""
    if not program:
        allowed = "a program and its arguments, with provider process"
        yield Mistake(f"{path}.command", "nothing", allowed)
    elif "/" in program and not program.startswith("/"):
        allowed = "an absolute path, or a name that is found on PATH"
        yield Mistake.at(f"{path}.command[0]", program, allowed)


def _web_identity(
    config: AwsCredentials, audiences: Collection[str], region: str, path: str
) -> Iterator[Mistake]:
    if not config.role_arn:
        yield Mistake(f"{path}.role_arn", "nothing", "a role's ARN, with provider web-identity")
    if config.audience not in audiences:
        allowed = "an audience among `tokens`, with provider web-identity"
        yield Mistake.at(f"{path}.audience", config.audience, allowed)
    if not config.endpoint and not _REGION.fullmatch(region):
        allowed = f"the URL of STS, or one of AWS's regions in place of {region}"
        yield Mistake(f"{path}.endpoint", "nothing", allowed)


_RULES = {
    "file": _file,
    "process": _process,
    "web-identity": _web_identity,
}
