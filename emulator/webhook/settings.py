"""The webhooks' settings: what the operator of a cluster decides once for all VMs."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from emulator.errors import ConfigError
from emulator.model.decode import Decoder, Outside, type_info
from emulator.model.kubernetes import LABEL, LONGEST, SUBDOMAIN
from emulator.sources.compose import compose

# Every pattern is also Helm's to check, whose RE2 knows no look-ahead.
_NAME = "[a-z0-9]+([._-]+[a-z0-9]+)*"
_TAG = ":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = "@sha256:[0-9a-f]{64}"

Image: TypeAlias = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=rf"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?{_NAME}(/{_NAME})*"
        rf"({_TAG}({_DIGEST})?|{_DIGEST})$",
        description="Image of the sidecar and of the webhooks, with a tag or a digest.",
        extra={
            "allowed": "an image with a tag or a digest, such as "
            "registry.example/imds-emulator:1.0.0"
        },
    ),
]
PullPolicy: TypeAlias = Annotated[
    Literal["Always", "IfNotPresent", "Never"],
    Meta(description="When a node pulls the image."),
]
Namespace: TypeAlias = Annotated[
    str,
    Meta(pattern=f"^{LABEL}$", extra={"allowed": "a namespace's name, such as shop"}),
]
Name: TypeAlias = Annotated[
    str,
    Meta(
        max_length=LONGEST,
        pattern=rf"^{SUBDOMAIN}$",
        extra={"allowed": "the name of a Kubernetes object, such as imds-emulator-keys"},
    ),
]
NamespaceOrNone: TypeAlias = Annotated[
    str,
    Meta(pattern=f"^({LABEL})?$", extra={"allowed": "a namespace's name, such as imds-system"}),
]
NameOrNone: TypeAlias = Annotated[str, Meta(max_length=LONGEST, pattern=rf"^({SUBDOMAIN})?$")]
Cpu: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^([1-9][0-9]{0,5}m|[1-9][0-9]{0,2}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])$",
        extra={"allowed": 'an amount of CPU as text, such as "100m" or "0.5"'},
    ),
]
Memory: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^[1-9][0-9]{0,8}(Ki|Mi|Gi|k|M|G)$",
        extra={"allowed": 'an amount of memory as text with its unit, such as "64Mi"'},
    ),
]


KEYS_SECRET = "imds-emulator-keys"  # noqa: S105 - its name


class Resources(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """An amount of CPU and of memory."""

    cpu: Annotated[Cpu, Meta(description="CPU, such as 100m or 0.5.")] = "100m"
    memory: Annotated[Memory, Meta(description="Memory, such as 96Mi.")] = "96Mi"


class Injection(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What a VM's pod gets."""

    resources: Annotated[
        Resources,
        Meta(
            description="What each sidecar requests, and is limited to: equal, so that a VM with "
            "CPUs of its own stays Guaranteed. CPU decides how fast it starts; large user data "
            "and templates of your own need more memory."
        ),
    ] = Resources()
    keys_secret: Annotated[
        Name,
        Meta(
            description="Secret in a VM's namespace with the keys of session tokens and identity "
            "documents."
        ),
    ] = KEYS_SECRET
    binding_plugins: Annotated[
        tuple[Name, ...],
        Meta(
            max_length=100,
            description="Network binding plugins, as KubeVirt's configuration names them, that "
            "bring guests to the sidecar themselves: it then needs no privilege.",
        ),
    ] = ()


class Settings(Injection, frozen=True, kw_only=True):
    """The settings file of ``imds-emulator webhook``.

    ``keys_namespaces`` are those that are known to have the Secret: an admission webhook that
    asks the API server for nothing cannot look.
    """

    image: Image
    image_pull_policy: PullPolicy = "IfNotPresent"
    authority_namespace: Annotated[
        NamespaceOrNone,
        Meta(
            description="Namespace of the Secret imds-emulator-ca, which certifies keys: for the "
            "command in a warning that they may be missing."
        ),
    ] = ""
    keys_namespaces: Annotated[
        tuple[Namespace, ...],
        Meta(
            max_length=10_000,
            description="Namespaces that have the Secret: their VMs are admitted without a "
            "warning that it may be missing.",
        ),
    ] = ()


def read(text: str, file: str) -> Settings:
    """Give the settings in ``text``, which came from ``file``.

    Raises ``ConfigError`` with every mistake, each with its line and what is allowed.
    """
    decoder = Decoder(_ALONE, {})
    settings: Settings = decoder.decode(compose(text, file), type_info(Settings), "")
    if decoder.problems:
        raise ConfigError(*sorted(decoder.problems, key=lambda problem: problem.line))
    return settings


# No setting refers to a file: the decoder never asks.
_ALONE = Outside(read=lambda _name, _limit: b"", locate=str)
