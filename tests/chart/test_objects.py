"""What the chart makes of every file of values: valid, without privilege, and of one piece."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import msgspec
import pytest
import yaml

from emulator.runtime import session_key
from emulator.signing import pair
from emulator.webhook.settings import Injection, read
from tests.chart import cert_manager, certificates
from tests.chart.helm import CHART, CI, NAMESPACE, WHEELS, Helm, Object, only

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.ports import FakePorts

NEWEST = tuple(
    f"1.{int(kubernetes_validate.latest_version().split('.')[1]) - age}" for age in range(3)
)
OLDEST = "1.30"
OF_NO_NAMESPACE = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
KINDS = {
    "ConfigMap",
    "Deployment",
    "MutatingWebhookConfiguration",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
}


class Rendered(msgspec.Struct, frozen=True):
    """A file of values over the defaults, and the objects that came of it."""

    values: dict[str, Any]
    objects: list[Object]


@pytest.fixture(
    scope="module",
    params=[(version, file) for file in CI for version in WHEELS],
    ids=lambda which: f"helm{which[0]}-{which[1].stem}",
)
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    version, file = request.param
    home = tmp_path_factory.mktemp("helm")
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    given = yaml.safe_load(file.read_text())
    return Rendered(_over(defaults, given), Helm(version, home).template(file))


@pytest.fixture
def found(rendered: Rendered) -> list[Object]:
    return rendered.objects


@pytest.fixture
def pod(found: list[Object]) -> dict[str, Any]:
    spec: dict[str, Any] = only(found, "Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", [OLDEST, *NEWEST])
def test_kubernetes_knows_every_field(found: list[Object], version: str) -> None:
    for each in found:
        if each["apiVersion"] != "cert-manager.io/v1":
            assert kubernetes_validate.validate(each, version, strict=True) == version


def test_a_misspelt_field_would_be_seen(found: list[Object]) -> None:
    deployment = only(found, "Deployment")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, NEWEST[0], strict=True)


def test_cert_manager_knows_every_field(found: list[Object], rendered: Rendered) -> None:
    theirs = [each for each in found if each["apiVersion"] == "cert-manager.io/v1"]
    certificate = rendered.values["certificate"]
    assert len(theirs) == (
        0 if certificate["source"] == "helm" else 1 if "issuer" in certificate else 4
    )
    for each in theirs:
        jsonschema.validate(each, cert_manager.SCHEMAS[each["kind"]])


def test_there_are_no_rights_and_nothing_unexpected(
    found: list[Object], rendered: Rendered
) -> None:
    kinds = {each["kind"] for each in found}
    extra = {"Certificate", "Issuer", "NetworkPolicy", "Secret"}
    assert kinds - extra == KINDS
    assert ("NetworkPolicy" in kinds) == rendered.values["networkPolicy"]["enabled"]
    for each in found:
        assert ("namespace" in each["metadata"]) == (each["kind"] not in OF_NO_NAMESPACE)


def test_no_token_of_the_api_is_mounted(found: list[Object], pod: dict[str, Any]) -> None:
    account = only(found, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert [set(source) for volume in pod["volumes"] for source in volume["projected"]["sources"]]
    for volume in pod["volumes"]:
        assert all(
            set(source) < {"configMap", "secret"} for source in volume["projected"]["sources"]
        )


def test_the_pod_is_restricted(pod: dict[str, Any]) -> None:
    """PodSecurity's level ``restricted``, and what it does not ask for."""
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert "initContainers" not in pod
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert "hostPort" not in container["ports"][0]


def test_the_pod_is_bounded(pod: dict[str, Any], rendered: Rendered) -> None:
    (container,) = pod["containers"]
    assert container["resources"] == rendered.values["webhook"]["resources"]
    for amounts in ("requests", "limits"):
        assert set(container["resources"][amounts]) == {"cpu", "memory"}
    assert container["image"] == rendered.values["image"]
    assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"])


def test_an_update_leaves_no_gap(found: list[Object], pod: dict[str, Any]) -> None:
    deployment = only(found, "Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert (
        container["lifecycle"]["preStop"]["sleep"]["seconds"]
        < pod["terminationGracePeriodSeconds"]
    )
    spread = {
        term["topologyKey"]: term["whenUnsatisfiable"] for term in pod["topologySpreadConstraints"]
    }
    assert spread["kubernetes.io/hostname"] == "ScheduleAnyway"
    assert only(found, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_selectors_meet_the_pods(found: list[Object], pod: dict[str, Any]) -> None:
    labels = only(found, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        only(found, "Deployment")["spec"]["selector"]["matchLabels"],
        only(found, "Service")["spec"]["selector"],
        only(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(term["labelSelector"]["matchLabels"] for term in pod["topologySpreadConstraints"]),
        *(
            each["spec"]["podSelector"]["matchLabels"]
            for each in found
            if each["kind"] == "NetworkPolicy"
        ),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels


def test_the_webhooks_are_behind_the_service(found: list[Object], pod: dict[str, Any]) -> None:
    service = only(found, "Service")
    (port,) = service["spec"]["ports"]
    (container,) = pod["containers"]
    (listening,) = container["ports"]
    assert port["targetPort"] == listening["name"]
    (listen,) = [each for each in container["args"] if each.startswith("--listen=")]
    assert listen.endswith(f":{listening['containerPort']}")
    for kind, path in (("Mutating", "/mutate"), ("Validating", "/validate")):
        for webhook in only(found, f"{kind}WebhookConfiguration")["webhooks"]:
            assert webhook["clientConfig"]["service"] == {
                "name": service["metadata"]["name"],
                "namespace": NAMESPACE,
                "path": path,
                "port": port["port"],
            }


def test_what_the_webhooks_are_asked(found: list[Object]) -> None:
    asked = {
        (kind, *(rule[part][0] for part in ("apiGroups", "resources")), *rule["operations"])
        for kind in ("Mutating", "Validating")
        for webhook in only(found, f"{kind}WebhookConfiguration")["webhooks"]
        for rule in webhook["rules"]
    }
    assert asked == {
        ("Mutating", "kubevirt.io", "virtualmachines", "CREATE"),
        ("Mutating", "kubevirt.io", "virtualmachineinstances", "CREATE"),
        ("Mutating", "", "pods", "CREATE"),
        ("Validating", "kubevirt.io", "virtualmachines", "CREATE", "UPDATE"),
        ("Validating", "kubevirt.io", "virtualmachineinstances", "CREATE", "UPDATE"),
    }


def test_how_the_webhooks_are_asked(found: list[Object], rendered: Rendered) -> None:
    given = rendered.values["webhook"]
    excluded = sorted({NAMESPACE, *given["excludedNamespaces"]})
    for kind in ("Mutating", "Validating"):
        for webhook in only(found, f"{kind}WebhookConfiguration")["webhooks"]:
            assert webhook["failurePolicy"] == "Fail"
            assert webhook["sideEffects"] == "None"
            assert webhook["admissionReviewVersions"] == ["v1"]
            assert webhook["timeoutSeconds"] == given["timeoutSeconds"]
            assert len(webhook["matchConditions"]) == 1
            expressions = webhook["namespaceSelector"]["matchExpressions"]
            by_name = {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": excluded,
            }
            assert expressions == [by_name, *given["namespaceSelector"]["matchExpressions"]]
            labels = webhook["namespaceSelector"].get("matchLabels", {})
            assert labels == given["namespaceSelector"]["matchLabels"]
            selected = {"matchLabels": {"kubevirt.io": "virt-launcher"}}
            pods = webhook["rules"][0]["resources"] == ["pods"]
            assert webhook.get("objectSelector") == (selected if pods else None)
            assert webhook.get("reinvocationPolicy") == (
                "IfNeeded" if kind == "Mutating" else None
            )


def test_kubevirts_own_webhook_comes_later(found: list[Object]) -> None:
    """The API server asks in the order of the configurations' names."""
    assert only(found, "MutatingWebhookConfiguration")["metadata"]["name"] < "virt-api-mutator"


def test_the_settings_are_read_back(found: list[Object], rendered: Rendered) -> None:
    text = only(found, "ConfigMap")["data"]["settings.yaml"]
    settings = read(text, "settings.yaml")
    values = rendered.values
    assert settings.image == values["image"]
    assert settings.image_pull_policy == values["imagePullPolicy"]
    assert settings.authority_namespace == NAMESPACE
    injection = msgspec.convert(msgspec.to_builtins(settings), dict)
    names = {field.encode_name for field in msgspec.structs.fields(Injection)}
    assert {name: injection[name] for name in names} == {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values["sidecar"].items()
    }
    known = {*values["namespaces"], *values["keysNamespaces"]}
    assert settings.keys_namespaces == tuple(sorted(known))
    annotations = only(found, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    digest = hashlib.sha256(text.rstrip().encode()).hexdigest()
    assert annotations["checksum/settings"] == digest


def test_the_certificate_is_the_services(
    found: list[Object], pod: dict[str, Any], rendered: Rendered, tmp_path: Path
) -> None:
    (volume,) = pod["volumes"]
    (mounted,) = [each["secret"] for each in volume["projected"]["sources"] if "secret" in each]
    host = f"imds-emulator.{NAMESPACE}.svc"
    configurations = [each for each in found if each["kind"] in OF_NO_NAMESPACE]
    assert len(configurations) == 2
    if rendered.values["certificate"]["source"] == "cert-manager":
        certificate = only(found, "Certificate", "imds-emulator-webhook")
        assert certificate["spec"]["secretName"] == mounted["name"]
        assert host in certificate["spec"]["dnsNames"]
        for each in configurations:
            place = each["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
            assert place == f"{NAMESPACE}/{certificate['metadata']['name']}"
            assert "caBundle" not in each["webhooks"][0]["clientConfig"]
        return
    secret = only(found, "Secret", mounted["name"])["data"]
    assert {item["key"] for item in mounted["items"]} < set(secret)
    assert certificates.belongs(secret["tls.crt"], secret["tls.key"])
    for each in configurations:
        for webhook in each["webhooks"]:
            bundle = webhook["clientConfig"]["caBundle"]
            assert certificates.complaint(bundle, secret["tls.crt"], host, tmp_path) == ""
            assert certificates.complaint(bundle, secret["tls.crt"], f"x{host}", tmp_path) != ""


def test_each_namespace_has_its_keys(
    found: list[Object], rendered: Rendered, tmp_path: Path, fake_ports: FakePorts
) -> None:
    name = rendered.values["sidecar"]["keysSecret"]
    secrets = {
        each["metadata"]["namespace"]: each
        for each in found
        if each["kind"] == "Secret" and each["metadata"]["name"] == name
    }
    assert set(secrets) == set(rendered.values["namespaces"])
    held = {each["data"]["session.key"] for each in secrets.values()}
    assert len(held) == len(secrets)
    for namespace, secret in secrets.items():
        authority = only(found, "Secret", "imds-emulator-ca")["data"]["ca.crt"]
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        data = secret["data"]
        for other in secrets:
            host = f"{other}.namespace.imds-emulator.internal"
            good = not certificates.complaint(authority, data["identity.crt"], host, tmp_path)
            assert good == (other == namespace)
        files = certificates.decoded(data)
        chain = files["identity.crt"]
        assert chain.count(b"BEGIN CERTIFICATE") == 2
        assert chain.endswith(certificates.decoded({"ca.crt": authority})["ca.crt"])
        # The server takes them.
        assert pair.load(chain, files["identity.key"]).sign(b"")
        fake_ports.files["session.key"] = files["session.key"]
        assert len(session_key.read(fake_ports.ports, "session.key")) == 44


def test_no_pod_sees_a_private_key_of_an_authority(pod: dict[str, Any]) -> None:
    assert not [each for each in re.findall(r"[\w.-]+", str(pod)) if each.endswith("ca.key")]


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Lay values over others as Helm does."""
    both = {
        name: _over(value, given[name])
        for name, value in defaults.items()
        if isinstance(value, dict) and name in given
    }
    return defaults | given | both
