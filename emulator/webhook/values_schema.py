"""What the Helm chart's values may hold: the settings' own limits, checked by Helm itself.

``python -m emulator.webhook.values_schema > deploy/chart/values.schema.json`` after a change.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from emulator.webhook.settings import (
    Image,
    Injection,
    Name,
    NameOrNone,
    Namespace,
    PullPolicy,
    Resources,
)

# What Helm 3 understands; Helm 4 knows newer ones too.
DRAFT = "http://json-schema.org/draft-07/schema#"

_UNIQUE = {"uniqueItems": True}


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A mapping of the chart's values: a name that is not known is refused."""


class Requirements(Value, frozen=True):
    """What a container gets at least and at most."""

    requests: Annotated[Resources, Meta(description="At least.")] = Resources(
        cpu="20m", memory="64Mi"
    )
    # Room for the largest object that anybody may send, which takes 250 MiB.
    limits: Annotated[Resources, Meta(description="At most.")] = Resources(
        cpu="500m", memory="384Mi"
    )


class Toleration(Value, frozen=True):
    """A taint that is put up with, in Kubernetes' words."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class Expression(Value, frozen=True):
    """A condition on one label, in Kubernetes' words."""

    key: Annotated[str, Meta(min_length=1)]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class Selector(Value, frozen=True):
    """Conditions on labels, all of which must hold, in Kubernetes' words."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Expression, ...] = ()


class Webhook(Value, frozen=True):
    """The admission webhooks' own process."""

    replicas: Annotated[
        int,
        Meta(ge=1, le=20, description="Pods; with one, no annotated VM starts while it moves."),
    ] = 2
    listen: Annotated[
        Literal["0.0.0.0:8443", "[::]:8443"],
        Meta(description='"[::]:8443" where pods have IPv6 addresses only.'),
    ] = "0.0.0.0:8443"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "off"], Meta(description="What is logged.")
    ] = "info"
    timeout_seconds: Annotated[
        int,
        Meta(ge=1, le=30, description="How long the API server waits for an answer."),
    ] = 5
    excluded_namespaces: Annotated[
        tuple[Namespace, ...],
        Meta(
            description="Namespaces whose objects are never sent, beside the release's own.",
            extra_json_schema=_UNIQUE,
        ),
    ] = ("kube-system",)
    namespace_selector: Annotated[
        Selector,
        Meta(description="Further conditions on the labels of the namespaces that are served."),
    ] = Selector()
    resources: Annotated[
        Requirements, Meta(description="What each pod requests, and is limited to.")
    ] = Requirements()
    priority_class_name: Annotated[
        NameOrNone, Meta(description="PriorityClass of the pods; empty: the default.")
    ] = ""
    node_selector: Annotated[
        dict[str, str], Meta(description="Labels of the nodes that may run the pods.")
    ] = {}
    tolerations: Annotated[
        tuple[Toleration, ...], Meta(description="Taints that the pods put up with.")
    ] = ()


class NetworkPolicy(Value, frozen=True):
    """Who may open connections to the webhooks' pods, and that they open none."""

    enabled: Annotated[bool, Meta(description="Whether there is a NetworkPolicy.")] = False
    sources: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$")], ...],
        Meta(
            description="Address ranges (CIDR) of the API server and of the nodes, whose kubelets "
            "probe the pods; empty: any address.",
            extra_json_schema=_UNIQUE,
        ),
    ] = ()


class Issuer(Value, frozen=True):
    """An issuer of cert-manager's."""

    name: Name
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
    group: Name = "cert-manager.io"


class Certificate(Value, frozen=True):
    """The certificate by which the API server knows the webhooks."""

    source: Annotated[
        Literal["helm", "cert-manager"],
        Meta(
            description="`helm`: made at the first installation and kept. `cert-manager`: asked "
            "of it, renewed by it, and read again by the webhooks."
        ),
    ] = "helm"
    issuer: Annotated[
        Issuer | UnsetType,
        Meta(description="cert-manager's issuer; by default one of the chart's own."),
    ] = UNSET


class Identity(Value, frozen=True):
    """The CA of the keys by which VMs prove their identity."""

    create: Annotated[
        bool,
        Meta(
            description="Whether Helm makes the Secret imds-emulator-ca where there is none, and "
            "keeps it. If not, it is yours or cert-manager's."
        ),
    ] = True


class Values(Value, frozen=True):
    """Values of the chart imds-emulator."""

    image: Image
    image_pull_policy: PullPolicy = "IfNotPresent"
    image_pull_secrets: Annotated[
        tuple[Name, ...],
        Meta(
            description="Secrets to pull the image with for the webhooks' pods. A VM's pod has "
            "its own namespace's: its nodes must be able to pull the image."
        ),
    ] = ()
    sidecar: Annotated[Injection, Meta(description="What an annotated VM's pod gets.")] = (
        Injection()
    )
    webhook: Annotated[Webhook, Meta(description="The webhooks' own pods.")] = Webhook()
    network_policy: Annotated[
        NetworkPolicy, Meta(description="A NetworkPolicy of the webhooks' pods.")
    ] = NetworkPolicy()
    certificate: Annotated[
        Certificate, Meta(description="How the API server knows the webhooks.")
    ] = Certificate()
    identity: Annotated[Identity, Meta(description="The CA of the namespaces' keys.")] = Identity()
    namespaces: Annotated[
        tuple[Namespace, ...],
        Meta(
            description="Namespaces for which Helm makes the keys of session tokens and identity "
            "documents, and keeps them.",
            extra_json_schema=_UNIQUE,
        ),
    ] = ()
    keys_namespaces: Annotated[
        tuple[Namespace, ...],
        Meta(
            description="Further namespaces that have keys, made otherwise: no warning for their "
            "VMs.",
            extra_json_schema=_UNIQUE,
        ),
    ] = ()
    shared: Annotated[
        dict[str, Any],
        Meta(description="Helm sets it where the chart is part of another one; not read."),
    ] = msgspec.field(name="global", default_factory=dict)


def schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 7) of the chart's values."""
    made = msgspec.json.schema(Values)
    defs: dict[str, Any] = made["$defs"]
    for part in defs.values():
        del part["title"]
        part["description"] = part["description"].partition("\n")[0]
    return {"$schema": DRAFT, **defs.pop("Values"), "$defs": defs}


def text() -> str:
    """Give the file ``deploy/chart/values.schema.json``."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
