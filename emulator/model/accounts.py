"""The identities under which a machine's programs get bearer tokens, and where those come from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from emulator.model.instance import Label, Path
from emulator.model.mistake import Mistake
from emulator.model.network import Value

_UUID = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_URL = (
    r"^(https?://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(/[\x21\x22\x24-\x3e\x40-\x7e]*)?)?$"
)
_URL_WORDS = "an http or https URL without user, query or fragment"

Uuid = Annotated[
    str, Meta(pattern=rf"^({_UUID})?$", extra={"allowed": "a UUID such as those Azure has"})
]
Url = Annotated[str, Meta(max_length=2048, pattern=_URL, extra={"allowed": _URL_WORDS})]
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^([a-z0-9][a-z0-9._-]*@[a-z0-9][a-z0-9.-]*)?$",
        extra={"allowed": "an address such as web@shop.iam.gserviceaccount.com"},
    ),
]
Scope = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+$",
        extra={"allowed": "a scope such as https://www.googleapis.com/auth/cloud-platform"},
    ),
]
Alias = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]{0,62}$",
        extra={"allowed": "lower-case letters, digits and '-', at most 63"},
    ),
]
Seconds = Annotated[
    int, Meta(ge=300, le=43_200, description="Seconds that a `generated` token lives.")
]
_FILE = Meta(
    description="File with a token, relative to the description, read on each request.",
    extra={"located": True},
)
_AUDIENCE = Meta(
    description="Audience of the ServiceAccount token that is exchanged, one of `tokens`."
)


class GoogleAccount(Value, frozen=True):
    """A service account of a Google machine."""

    email: Annotated[Email, Meta(description="Its address; derived from the project.")] = ""
    aliases: Annotated[
        tuple[Alias, ...],
        Meta(max_length=8, description="Other names; the first account has `default` too."),
    ] = ()
    scopes: Annotated[
        tuple[Scope, ...], Meta(max_length=64, description="What its tokens may be used for.")
    ] = ("https://www.googleapis.com/auth/cloud-platform",)
    provider: Annotated[
        Literal["generated", "file", "workload-identity"],
        Meta(
            description="`generated`: tokens that work nowhere. `file`: what a file holds. "
            "`workload-identity`: a security token service gives them for the machine's "
            "ServiceAccount token (RFC 8693)."
        ),
    ] = "generated"
    file: Annotated[Path, _FILE] = ""
    token_audience: Annotated[Label, _AUDIENCE] = ""
    audience: Annotated[
        Label,
        Meta(
            description="What the service is asked for: the provider's name, such as "
            "`//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k`."
        ),
    ] = ""
    endpoint: Annotated[Url, Meta(description="URL of the service.")] = (
        "https://sts.googleapis.com/v1/token"
    )
    impersonate: Annotated[
        Email, Meta(description="Account whose token is then got with the service's; empty: none.")
    ] = ""
    impersonation_endpoint: Annotated[
        Url, Meta(description="URL of the service that gives that one.")
    ] = "https://iamcredentials.googleapis.com/v1"
    lifetime: Seconds = 3600

    @property
    def exchanged(self) -> bool:
        """Whether somebody gives its tokens for the machine's ServiceAccount token."""
        return self.provider == "workload-identity"


class AzureIdentity(Value, frozen=True):
    """A managed identity of an Azure machine; its ids are derived unless they are given."""

    client_id: Annotated[Uuid, Meta(description="Its application's id.")] = ""
    object_id: Annotated[Uuid, Meta(description="Its principal's id.")] = ""
    resource_id: Annotated[
        Label,
        Meta(description="Its resource, if it is user-assigned (`/subscriptions/...`)."),
    ] = ""
    tenant_id: Annotated[Uuid, Meta(description="The directory that it is in.")] = ""
    provider: Annotated[
        Literal["generated", "file", "federated"],
        Meta(
            description="`generated`: tokens that work nowhere. `file`: what a file holds. "
            "`federated`: a token endpoint gives them for the machine's ServiceAccount token."
        ),
    ] = "generated"
    file: Annotated[Path, _FILE] = ""
    token_audience: Annotated[Label, _AUDIENCE] = "api://AzureADTokenExchange"  # noqa: S105  a name
    endpoint: Annotated[
        Url, Meta(description="URL of the token endpoint; by default the tenant's.")
    ] = ""
    lifetime: Seconds = 28_800

    @property
    def exchanged(self) -> bool:
        """Whether somebody gives its tokens for the machine's ServiceAccount token."""
        return self.provider == "federated"


Account = GoogleAccount | AzureIdentity

_BELONGS = {
    "file": "file",
    "token_audience": "exchanged",
    "audience": "exchanged",
    "endpoint": "exchanged",
    "impersonate": "exchanged",
    "impersonation_endpoint": "exchanged",
    "lifetime": "generated",
}


def mistakes(account: Account, audiences: Collection[str], path: str) -> Iterator[Mistake]:
    """Give the mistakes between the fields of ``account``, which stands at ``path``.

    ``audiences`` are those that the machine is offered tokens for.
    """
    kind = "exchanged" if account.exchanged else account.provider
    defaults: dict[str, Any] = msgspec.structs.asdict(type(account)())
    for field, wanted in _BELONGS.items():
        if field in defaults and kind != wanted and getattr(account, field) != defaults[field]:
            found = f"a value with provider {account.provider}"
            yield Mistake(f"{path}.{field}", found, "nothing, unless the provider uses it")
    if kind == "file" and not account.file:
        yield Mistake(f"{path}.file", "nothing", "a file with a token, with provider file")
    if kind != "exchanged":
        return
    if account.token_audience not in audiences:
        allowed = f"an audience among `tokens`, with provider {account.provider}"
        yield Mistake.at(f"{path}.token_audience", account.token_audience, allowed)
    yield from _of_google(account, path)


def _of_google(account: Account, path: str) -> Iterator[Mistake]:
    if isinstance(account, GoogleAccount) and not account.audience:
        yield Mistake(f"{path}.audience", "nothing", "the name of a workload identity provider")
