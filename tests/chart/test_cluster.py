"""Installed, upgraded and uninstalled: keys are made once, and stay what they are."""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart import certificates
from tests.chart.helm import CHART, NAMESPACE, Helm, objects, rendering

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chart.api_server import Cluster

AUTHORITY = (NAMESPACE, "imds-emulator-ca")
WEBHOOK_AUTHORITY = (NAMESPACE, "imds-emulator-webhook-ca")
WEBHOOK = (NAMESPACE, "imds-emulator-webhook-tls")
SHOP, BANK = ("shop", "imds-emulator-keys"), ("bank", "imds-emulator-keys")
OURS = (AUTHORITY, WEBHOOK_AUTHORITY, WEBHOOK, SHOP)
SHOPS_HOST = "shop.namespace.imds-emulator.internal"


@pytest.fixture
def values(tmp_path: Path) -> Path:
    return written(tmp_path)


def written(folder: Path, **changes: Any) -> Path:
    """Write values: those of an installation with keys for ``shop``, and ``changes``."""
    file = folder / "values.yaml"
    given = {"image": "registry.example/imds-emulator:0.1.0", "namespaces": ["shop"]}
    file.write_text(yaml.safe_dump({**given, **changes}))
    return file


def install(helm: Helm, values: Path) -> str:
    return helm.succeed(
        *("upgrade", "--install", "imds", CHART, "--namespace", NAMESPACE, "--values", values)
    )


def held(cluster: Cluster) -> dict[tuple[str, str], dict[str, str] | None]:
    """Give what all our Secrets hold."""
    return {place: cluster.secret(*place) for place in OURS}


def secret(cluster: Cluster, place: tuple[str, str]) -> dict[str, str]:
    found = cluster.secret(*place)
    assert found is not None
    return found


def bundles(cluster: Cluster) -> set[str]:
    """Give the authorities by which the API server knows the webhooks."""
    return {
        webhook["clientConfig"]["caBundle"]
        for each in cluster.objects.values()
        for webhook in each.get("webhooks", [])
    }


def test_an_upgrade_changes_no_key(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    install(connected, values)
    before = held(cluster)
    assert all(before.values())
    install(connected, written(tmp_path, webhook={"replicas": 3}, namespaces=["bank", "shop"]))
    assert held(cluster) == before
    assert secret(cluster, BANK)["session.key"] != secret(cluster, SHOP)["session.key"]
    (deployment,) = [each for each in cluster.objects.values() if each["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 3
    assert bundles(cluster) == {secret(cluster, WEBHOOK_AUTHORITY)["ca.crt"]}


def test_helm_4_takes_over_what_helm_3_installed(
    cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(cluster.kubeconfig())
    install(Helm("3", tmp_path, str(file)), values)
    before = held(cluster)
    install(Helm("4", tmp_path, str(file)), written(tmp_path, webhook={"replicas": 3}))
    assert held(cluster) == before
    (deployment,) = [each for each in cluster.objects.values() if each["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 3


def test_rendering_again_changes_no_key(connected: Helm, cluster: Cluster, values: Path) -> None:
    server = (*rendering(values), "--dry-run=server")
    fresh = connected.succeed(*server)
    assert connected.succeed(*server) != fresh
    install(connected, values)
    again = connected.succeed(*server)
    assert connected.succeed(*server) == again
    for namespace, name in OURS:
        (rendered,) = [
            each["data"]
            for each in objects(again)
            if (each["metadata"].get("namespace"), each["metadata"]["name"]) == (namespace, name)
            and each["kind"] == "Secret"
        ]
        assert rendered == cluster.secret(namespace, name)


def test_keys_outlive_their_place_in_the_values_and_the_release(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    install(connected, values)
    before = held(cluster)
    install(connected, written(tmp_path, namespaces=[]))
    assert cluster.secret(*SHOP) == before[SHOP]
    said = connected.succeed("uninstall", "imds", "--namespace", NAMESPACE)
    assert "[Secret] imds-emulator-ca" in said
    left = {each["metadata"]["name"] for each in cluster.objects.values()}
    assert left == {"imds-emulator-ca", "imds-emulator-keys"}
    install(connected, written(tmp_path))
    assert {place: cluster.secret(*place) for place in (AUTHORITY, SHOP)} == {
        place: before[place] for place in (AUTHORITY, SHOP)
    }


def test_the_webhooks_certificate_can_be_made_again_by_the_same_authority(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    install(connected, values)
    before = held(cluster)
    cluster.remove(*WEBHOOK)
    install(connected, values)
    after = held(cluster)
    assert {place for place in OURS if before[place] != after[place]} == {WEBHOOK}
    made = secret(cluster, WEBHOOK)
    (bundle,) = bundles(cluster)
    host = f"imds-emulator.{NAMESPACE}.svc"
    assert certificates.complaint(bundle, made["tls.crt"], host, tmp_path) == ""


def test_a_new_authority_certifies_anew_and_leaves_session_keys(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    install(connected, values)
    before = held(cluster)
    cluster.remove(*AUTHORITY)
    cluster.remove(*WEBHOOK_AUTHORITY)
    install(connected, values)
    after = held(cluster)
    assert {place for place in OURS if before[place] != after[place]} == set(OURS)
    old, new = before[SHOP], secret(cluster, SHOP)
    assert old is not None
    assert old["session.key"] == new["session.key"]
    authority = secret(cluster, AUTHORITY)["ca.crt"]
    assert certificates.complaint(authority, old["identity.crt"], SHOPS_HOST, tmp_path) != ""
    assert certificates.complaint(authority, new["identity.crt"], SHOPS_HOST, tmp_path) == ""
    (bundle,) = bundles(cluster)
    host = f"imds-emulator.{NAMESPACE}.svc"
    tls = secret(cluster, WEBHOOK)
    assert certificates.complaint(bundle, tls["tls.crt"], host, tmp_path) == ""
    assert certificates.belongs(tls["tls.crt"], tls["tls.key"])


@pytest.mark.parametrize("whose", ["ours", "cert-managers"])
def test_the_authority_can_be_somebody_elses(
    connected: Helm, cluster: Cluster, tmp_path: Path, whose: str
) -> None:
    values = written(tmp_path, identity={"create": False})
    said = connected.fail("install", "imds", CHART, "--namespace", NAMESPACE, "--values", values)
    assert "there is none with ca.crt and ca.key (or tls.crt and tls.key)" in said
    made = by_the_command(connected) if whose == "ours" else as_cert_manager_does(tmp_path)
    place = "/api/v1/namespaces/{}/secrets/{}".format(*AUTHORITY)
    cluster.objects[place] = made
    install(connected, values)
    assert cluster.objects[place] is made
    keys = secret(cluster, SHOP)
    authority = made["data"]["ca.crt"]
    assert certificates.complaint(authority, keys["identity.crt"], SHOPS_HOST, tmp_path) == ""
    install(connected, values)
    assert cluster.secret(*SHOP) == keys


def by_the_command(helm: Helm) -> dict[str, Any]:
    (made,) = objects(shell(helm, f"imds-emulator keys --new-ca {NAMESPACE}"))
    return made


def as_cert_manager_does(folder: Path) -> dict[str, Any]:
    """Make an authority of an elliptic curve, its key as cert-manager writes it (SEC 1)."""
    files = certificate, key = folder / "their.crt", folder / "their.key"
    command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=theirs", "-days", "2"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-addext", "keyUsage=critical,keyCertSign"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    convert = ["openssl", "pkey", "-traditional", "-in", str(key)]
    key.write_bytes(subprocess.run(convert, check=True, capture_output=True).stdout)
    assert key.read_bytes().startswith(b"-----BEGIN EC PRIVATE KEY-----")
    texts = [b64encode(file.read_bytes()).decode() for file in files]
    data = dict(zip(("tls.crt", "tls.key", "ca.crt"), (*texts, texts[0]), strict=True))
    metadata = {"name": AUTHORITY[1], "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def test_the_source_of_the_certificate_can_change(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    """Neither Helm nor cert-manager deletes what the other has made."""
    install(connected, values)
    install(connected, written(tmp_path, certificate={"source": "cert-manager"}))
    assert cluster.secret(*WEBHOOK) is None
    (certificate,) = [
        each["spec"]
        for each in cluster.objects.values()
        if each["metadata"]["name"] == "imds-emulator-webhook"
    ]
    assert certificate["secretName"] != WEBHOOK[1]
    assert secret(cluster, AUTHORITY)


def test_what_helm_says_next_works(
    connected: Helm, cluster: Cluster, values: Path, tmp_path: Path
) -> None:
    """The commands that its notes print, run as they are printed."""
    notes = install(connected, values)
    assert "Made by this release for: shop." in notes
    assert 'imds.kubevirt.io/enabled: "true"' in notes
    keys, authority = re.findall(r"\n\n((?:  +kubectl -n .*\n)(?:  +.*(?:\n|$))+)", notes)
    said = shell(connected, keys.replace("keys shop", "keys bank"))
    assert said == "secret/imds-emulator-keys created\n"
    made = secret(cluster, BANK)
    certificate = secret(cluster, AUTHORITY)["ca.crt"]
    host = "bank.namespace.imds-emulator.internal"
    assert certificates.complaint(certificate, made["identity.crt"], host, tmp_path) == ""
    assert set(made) == set(secret(cluster, SHOP))
    printed = shell(connected, authority)
    assert printed.encode() == certificates.decoded({"": certificate})[""]


def test_the_notes_know_another_name_of_the_secret(
    connected: Helm, cluster: Cluster, tmp_path: Path
) -> None:
    notes = install(connected, written(tmp_path, sidecar={"keysSecret": "keys"}))
    (keys,) = re.findall(r"\n\n((?:  +kubectl -n .* -o json.*\n)(?:  +.*(?:\n|$))+)", notes)
    assert shell(connected, keys.replace("keys shop", "keys bank")) == "secret/keys created\n"
    assert set(secret(cluster, ("bank", "keys"))) == set(secret(cluster, ("shop", "keys")))


def shell(helm: Helm, command: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=helm.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_older_cluster_is_refused(connected: Helm, cluster: Cluster, values: Path) -> None:
    cluster.version = "v1.29.14"
    said = connected.fail("install", "imds", CHART, "--namespace", NAMESPACE, "--values", values)
    assert (
        "requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.14" in said
    )
    assert cluster.objects == {}
