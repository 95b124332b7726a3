"""The KubeVirt-native dialect: ServiceAccount tokens and the machine's own description.

``/v1/token`` and ``/v1/identity`` are those of kubevirt-imds byte for byte (contract 6.1);
``/v1/instance``, the attested documents below ``/v1/identity`` and the plain-text leaves below
``/imds/v1``, fit for systemd-imdsd (contract 8), are additions in its spirit: same header, same
error form.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from emulator.core.message import JSON, TEXT, Reply, Request, Services
from emulator.core.paths import normalise, parameters
from emulator.core.policy import Area, Document, ForbidHeader, Refusal, RequireHeader, Session
from emulator.core.session_endpoint import METHODS, SessionEndpoint
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Leaf, SessionPolicy, View
from emulator.model.instance import AUTOMATIC, Content, Instance, Interface
from emulator.model.links import local_addresses, public_addresses

_ROOT = "/imds/v1"
_TOKENS_AT = "/v1/api/token"
_ATTESTED_AT = "/v1/identity"
_CHAIN = "application/pem-certificate-chain"  # RFC 8555, 9.1

# What Go's encoder makes of a time.Time that was never set; kubevirt-imds sends it for a token
# whose end it cannot read.
_NO_TIME = "0001-01-01T00:00:00Z"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# What a URL gives a meaning of its own (RFC 3986, 2.1 and 3).
_SPECIAL = frozenset("%?#")


class KubeVirtPolicy(SessionPolicy, frozen=True, kw_only=True):
    """Choices about the native dialect."""

    tokens: Annotated[
        Literal["off", "optional", "observe", "required"],
        Meta(
            description="Whether it takes EC2's session tokens, which `PUT /v1/api/token` then "
            "gives as well; kubevirt-imds knows none."
        ),
    ] = "off"

    @property
    def gives_tokens(self) -> bool:
        """Whether the dialect gives any under this policy."""
        return self.tokens != "off"


class _Token(msgspec.Struct, frozen=True):
    token: str
    expiration: str = msgspec.field(name="expirationTimestamp")


def _json(value: object) -> bytes:
    """Encode as Go's encoder does: compact, one newline at the end."""
    return msgspec.json.encode(value) + b"\n"


def _error(status: int, error: str, message: str) -> Reply:
    return Reply(status, _json({"error": error, "message": message}), JSON)


def _text(status: int, text: bytes, *more: tuple[str, str]) -> Reply:
    """Refuse with text as Go's ``http.Error`` does."""
    headers = (("X-Content-Type-Options", "nosniff"), *more)
    return Reply(status, text + b"\n", "text/plain; charset=utf-8", headers)


_REFUSALS = {
    Refusal.HEADER_MISSING: _error(400, "missing_header", "Metadata: true header is required"),
    # Beyond kubevirt-imds, which ignores it: a proxy in the guest must not lend its place to
    # others (contract 9.1).
    Refusal.FORWARDED: _error(400, "forwarded_request", "X-Forwarded-For header is not allowed"),
    Refusal.FOREIGN_HOST: _error(403, "foreign_host", "Host header names another server"),
    Refusal.METHOD: _text(405, b"Method not allowed"),
    Refusal.NOT_FOUND: _text(404, b"404 page not found"),
    Refusal.THROTTLED: _text(429, b"rate limit exceeded", ("Retry-After", "1")),
    Refusal.SESSION_MISSING: _error(
        401, "missing_session_token", "X-aws-ec2-metadata-token header is required"
    ),
    Refusal.SESSION_INVALID: _error(
        401, "invalid_session_token", "the session token is not good for this VM, or no more"
    ),
    Refusal.BAD_LIFETIME: _error(
        400,
        "bad_lifetime",
        "X-aws-ec2-metadata-token-ttl-seconds header must be 1 to 21600 seconds",
    ),
    Refusal.UNAVAILABLE: _error(500, "token_unavailable", "Failed to read ServiceAccount token"),
}
_UNSIGNED = {
    **_REFUSALS,
    Refusal.UNAVAILABLE: _error(
        500, "identity_unavailable", "Failed to sign the identity document"
    ),
}
_RULES = (RequireHeader("Metadata", "true"), ForbidHeader("X-Forwarded-For"))


def _areas(policy: KubeVirtPolicy) -> tuple[Area, ...]:
    session = Session(policy.tokens) if policy.gives_tokens else None
    return (
        Area(
            name="kubevirt",
            prefixes=("/v1", "/imds"),
            rules=_RULES,
            session=session,
            refusals=_REFUSALS,
        ),
        # kubevirt-imds has no HEAD, and its tests say so (contract 6.1).
        Area(
            name="kubevirt-get",
            document="token",
            methods=("GET",),
            rules=_RULES,
            session=session,
            refusals=_REFUSALS,
        ),
        Area(
            name="kubevirt-attested",
            rules=_RULES,
            session=session,
            refusals=_UNSIGNED,
            document="identity",
        ),
        Area(
            name="kubevirt-session",
            methods=METHODS,
            rules=_RULES,
            refusals=_REFUSALS,
            document="session",
            unlimited=True,  # like EC2's
        ),
    )


class TokenEndpoint(msgspec.Struct, frozen=True):
    """``/v1/token[?audience=]`` of a machine that is offered ``audiences`` by name.

    ``TokenUnavailable`` passes through: the area's answer to ``Refusal.UNAVAILABLE`` is ours.
    """

    audiences: tuple[str, ...]

    async def __call__(self, request: Request, services: Services) -> Reply:
        """Give the token now valid; of several audiences the first counts, as Go has it."""
        named = (value for name, value in parameters(request.query) if name == "audience")
        found = await services.token(next(named, ""))
        if found is None:
            unknown = {
                "error": "unknown_audience",
                "message": "this VM is offered no token for that audience, only for those listed",
                "audiences": self.audiences,
            }
            return Reply(404, _json(unknown), JSON, refusal=Refusal.NOT_FOUND)
        return Reply(200, _json(_Token(found.token, _rfc3339(found.expires))), JSON)


def _rfc3339(seconds: float | None) -> str:
    """Write a time as Go does; one that Go's encoder refuses, after the year 9999, is none."""
    if seconds is None:
        return _NO_TIME
    try:
        moment = _EPOCH + dt.timedelta(seconds=int(seconds))
    except OverflowError:
        return _NO_TIME
    return moment.isoformat().replace("+00:00", "Z")


def _leaves(view: View) -> Iterable[Leaf]:
    instance = view.instance
    audiences = tuple(token.audience for token in instance.tokens if token.audience)
    yield Leaf(paths=("/v1/token",), area="kubevirt-get", live=TokenEndpoint(audiences))
    policy = view.policy
    if policy.gives_tokens:
        live = SessionEndpoint(policy.hop_limit)
        yield Leaf(paths=(_TOKENS_AT,), area="kubevirt-session", live=live)
    identity = _document("/v1/identity", "identity", "kubevirt-get")
    yield replace(identity, document="identity")
    yield from _attested(view)
    yield _document("/v1/instance", "instance", "kubevirt", audiences=audiences)
    yield _document("/v1/instance/schema", "instance-schema", "kubevirt")
    yield from _plain(view)


def _attested(view: View) -> Iterable[Leaf]:
    """Give the identity as one signed document, where there is a key that speaks for it."""
    if not view.attests(view.instance.namespace):
        return
    # A template for JSON by its name: what is signed is the document to the byte.
    document = _document(f"{_ATTESTED_AT}/document", "document.json", "kubevirt-attested")
    yield document
    for form, kind in (("signature", TEXT), ("certificate", _CHAIN)):
        yield replace(document, paths=(f"{_ATTESTED_AT}/{form}",), type=kind, seal=form)


def _document(path: str, template: str, area: str, **variables: object) -> Leaf:
    return Leaf(
        paths=(path,), area=area, template=template, type=JSON, newline=True, variables=variables
    )


def _plain(view: View) -> Iterable[Leaf]:
    """Give the text leaves; what is not set has none, so that it is 404 (contract 8.1)."""
    instance = view.instance
    keys = [key.key for key in instance.public_keys if key.type == "ssh"]
    yield Leaf(
        paths=(_ROOT,),
        area="kubevirt",
        template="leaves",
        tree=True,
        variables={
            "ipv4": _machine(instance, 4),
            "ipv6": _machine(instance, 6),
            "families": [(_family(nic, 4), _family(nic, 6)) for nic in instance.interfaces],
            "ssh_keys": keys,
        },
        parts={
            "authorized-keys": "keys",
            "interfaces": "network",
            "ipv4": "network",
            "ipv6": "network",
            "ssh-key": "keys",
        },
    )
    given: tuple[tuple[Document, Content | None], ...] = (
        ("user-data", instance.user_data),
        ("vendor-data", instance.vendor_data),
    )
    for kind, content in given:
        if content is not None:
            path = f"{_ROOT}/{kind}"
            yield Leaf(paths=(path,), area="kubevirt", body=content.data, document=kind)
    for name, pairs in (("tags", instance.tags), ("meta", instance.meta)):
        asked = set(filter(_can_be_asked, (f"{_ROOT}/{name}/{key}" for key in pairs)))
        for key, value in pairs.items():
            path = f"{_ROOT}/{name}/{key}"
            if path in asked and not any(other.startswith(f"{path}/") for other in asked):
                yield Leaf(paths=(path,), area="kubevirt", body=value.encode())


def _can_be_asked(path: str) -> bool:
    """Say whether a guest that reads ``path`` in a listing can ask for it as it stands there.

    A key such as ``a/b`` becomes a directory, and ``a`` beside it gives way; that one, ``../b``,
    ``b?`` or a key with a line break is found in ``/v1/instance`` alone.
    """
    return (
        path.isprintable()
        and " " not in path
        and not _SPECIAL.intersection(path)
        and normalise(path) == path
    )


def _machine(instance: Instance, version: int) -> dict[str, str | None]:
    """Give the first of the machine's addresses of an IP version, and of its public ones."""
    return {
        "address": next(iter(local_addresses(instance, version)), None),
        "public": next(iter(public_addresses(instance, version)), None),
    }


def _family(interface: Interface, version: int) -> dict[str, str | int | None]:
    """Give what is static of an IP version on ``interface``: the first of each."""
    hosts = (ip_interface(text) for text in interface.addresses if text not in AUTOMATIC)
    host = next((host for host in hosts if host.version == version), None)
    return {
        "address": str(host.ip) if host else None,
        "prefix-length": host.network.prefixlen if host else None,
        "gateway": _first(interface.gateways, version),
        "public": _first(interface.public_addresses, version),
    }


def _first(addresses: Iterable[str], version: int) -> str | None:
    return next((text for text in addresses if ip_address(text).version == version), None)


DIALECT = Dialect(
    name="kubevirt",
    summary="ServiceAccount token, identity, and the VM's own description",
    areas=_areas,
    leaves=_leaves,
    listings=(Listing(root=_ROOT, area="kubevirt"),),
    policy=KubeVirtPolicy,
    tokens_at=_TOKENS_AT,
    example="/v1/instance",
    extra=("/v1/",),
    extra_area="kubevirt",
)
