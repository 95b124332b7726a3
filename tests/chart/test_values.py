"""The chart's values: documented, and refused by Helm itself where they cannot be meant."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from emulator import __version__
from emulator.webhook import values_schema
from emulator.webhook.values_schema import Values
from tests.chart.helm import CHART, CI, MINIMAL, NAMESPACE, Helm, objects, only

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chart.api_server import Object

NAMED = pytest.mark.parametrize("values", CI, ids=lambda file: file.stem)


def test_the_schema_is_the_codes() -> None:
    command = [sys.executable, "-m", "emulator.webhook.values_schema"]
    made = subprocess.run(command, cwd=CHART.parents[1], capture_output=True, check=True).stdout
    assert (CHART / "values.schema.json").read_bytes() == made


def test_the_defaults_are_the_codes() -> None:
    written = yaml.safe_load((CHART / "values.yaml").read_text())
    assert msgspec.convert({**written, "image": "i:1"}, Values) == Values(image="i:1")


def test_every_value_is_written_and_explained() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    schema = values_schema.schema()
    kubernetes = ("Toleration", "Expression")  # its own words, in lists that are empty
    parts = [schema, *(part for name, part in schema["$defs"].items() if name not in kubernetes)]
    for name in {name for part in parts for name in part["properties"]} - {"global"}:
        spelled = re.compile(rf" *(# +)?{name}:")
        assert [line for line in lines if spelled.match(line)], name
    for before, line in itertools.pairwise(lines):
        if re.match("[a-zA-Z]", line):
            assert before.startswith("#"), line


def test_every_value_is_tried_in_some_file() -> None:
    texts = [file.read_text() for file in CI]
    schema = values_schema.schema()
    for part in (schema, *schema["$defs"].values()):
        for name in part["properties"].keys() - {"global"}:
            assert any(re.search(rf"\b{name}:", text) for text in texts), name


@NAMED
def test_helm_finds_no_fault(helm: Helm, values: Path) -> None:
    said = helm.succeed("lint", CHART, "--strict", "--values", values)
    assert "[WARNING]" not in said
    assert "1 chart(s) linted, 0 chart(s) failed" in said


def test_the_defaults_lack_an_image_and_nothing_else(helm: Helm) -> None:
    said = helm.fail("template", CHART)
    assert said.rstrip().endswith(
        "- (root): image is required"
        if helm.version == "3"
        else "- at '': missing property 'image'"
    )


DIGITS = "'^[1-9][0-9]{0,8}(Ki|Mi|Gi|k|M|G)$'"
BAD = (
    # A value, and what Helm 3 and Helm 4 say of it.
    ("imageTag: v1", "(root): Additional property imageTag", "additional properties 'imageTag'"),
    ("image: imds", "image: Does not match pattern", "'/image': 'imds' does not match"),
    ("imagePullPolicy: Sometimes", "imagePullPolicy: imagePullPolicy must", "'/imagePullPolicy'"),
    ("imagePullSecrets: [{name: a}]", "imagePullSecrets.0: Invalid type", "got object, want str"),
    (
        "sidecar: {resources: {limits: {}}}",
        "sidecar.resources: Additional property limits",
        "'/sidecar/resources': additional properties 'limits'",
    ),
    (
        "sidecar: {resources: {cpu: 1}}",
        "sidecar.resources.cpu: Invalid type. Expected: string, given: integer",
        "'/sidecar/resources/cpu': got number, want string",
    ),
    (
        "sidecar: {resources: {memory: 64MB}}",
        "sidecar.resources.memory: Does not match pattern " + DIGITS,
        "'/sidecar/resources/memory': '64MB' does not match pattern " + DIGITS,
    ),
    ("sidecar: {keysSecret: My_Keys}", "sidecar.keysSecret: Does", "'/sidecar/keysSecret'"),
    ("sidecar: {bindingPlugins: vdpa}", "sidecar.bindingPlugins: Inv", "got string, want array"),
    (
        "webhook: {replicas: 0}",
        "webhook.replicas: Must be greater than or equal to 1",
        "'/webhook/replicas': minimum: got 0, want 1",
    ),
    ("webhook: {timeoutSeconds: 31}", "webhook.timeoutSeconds: Must be less", "maximum: got 31"),
    ("webhook: {listen: 0.0.0.0:80}", "webhook.listen: webhook.listen must", "'/webhook/listen'"),
    ("webhook: {logLevel: loud}", "webhook.logLevel: webhook.logLevel m", "'/webhook/logLevel'"),
    (
        "webhook: {excludedNamespaces: [a, a]}",
        "webhook.excludedNamespaces: array items[0,1] must be unique",
        "'/webhook/excludedNamespaces': items at 0 and 1 are equal",
    ),
    (
        "webhook: {namespaceSelector: {matchExpressions: [{key: a}]}}",
        "webhook.namespaceSelector.matchExpressions.0: operator is required",
        "matchExpressions/0': missing property 'operator'",
    ),
    ("webhook: {tolerations: [{keys: a}]}", "webhook.tolerations.0: Add", "'/webhook/toleratio"),
    ("webhook: {resources: {limits: {gpu: 1}}}", "limits: Additional pro", "properties 'gpu'"),
    ("webhook: {priorityClassName: A_b}", "webhook.priorityClassName: D", "'/webhook/priorityC"),
    ("networkPolicy: {enabled: 1}", "networkPolicy.enabled: Invalid", "got number, want boolean"),
    ("networkPolicy: {sources: [10.0.0.1]}", "networkPolicy.sources.0: D", "'/networkPolicy/sou"),
    ("certificate: {source: acme}", "certificate.source: certificate.s", "'/certificate/source'"),
    (
        "certificate: {issuer: {kind: Issuer}}",
        "certificate.issuer: name is required",
        "'/certificate/issuer': missing property 'name'",
    ),
    ("identity: {create: maybe}", "identity.create: Invalid type.", "got string, want boolean"),
    ("namespaces: [a.b]", "namespaces.0: Does not match pattern", "'/namespaces/0': 'a.b' does"),
    ("namespaces: [123]", "namespaces.0: Invalid type. Expected: str", "got number, want string"),
    ("keysNamespaces: [a, a]", "keysNamespaces: array items[0,1] mus", "items at 0 and 1 are eq"),
)


def test_bad_values_are_refused(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    for bad, *messages in BAD:
        file.write_text(bad)
        said = helm.fail("template", CHART, "--values", MINIMAL, "--values", file)
        assert "values don't meet the specifications of the schema(s)" in said
        assert messages[0 if helm.version == "3" else 1] in said, said


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    said = helm.fail("template", CHART, "--values", MINIMAL, "--kube-version", "1.29.14")
    assert (
        "requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.14" in said
    )
    for newer in ("1.30.0", "v1.30.4-gke.100", "1.40.1+k3s1"):
        helm.succeed("template", CHART, "--values", MINIMAL, "--kube-version", newer)


def test_what_is_packed_is_what_is_installed(helm: Helm, tmp_path: Path) -> None:
    helm.succeed("package", CHART, "--destination", tmp_path)
    with tarfile.open(tmp_path / f"imds-emulator-{__version__}.tgz") as archive:
        names = {name.removeprefix("imds-emulator/") for name in archive.getnames()}
    assert {"Chart.yaml", "values.schema.json", "templates/NOTES.txt"} <= names
    assert not [name for name in names if name.startswith("ci/")]


def test_the_charts_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_it_can_be_a_part_of_another_chart(helm: Helm, tmp_path: Path) -> None:
    """Helm then gives it values that nobody wrote: ``global``."""
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts/imds-emulator")
    (parent / "Chart.yaml").write_text("{apiVersion: v2, name: parent, version: 1.0.0}")
    (parent / "values.yaml").write_text("{global: {a: b}, imds-emulator: {image: 'i:1'}}")
    assert only(objects(helm.succeed("template", parent)), "Deployment")


@NAMED
def test_both_helms_make_the_same(tmp_path: Path, values: Path) -> None:
    """But for what is random, and in another order."""
    one, other = (Helm(version, tmp_path).template(values) for version in ("3", "4"))
    assert sorted(map(_told, one)) == sorted(map(_told, other))


def test_nothing_is_random_with_cert_manager(helm: Helm) -> None:
    """So that manifests can be rendered where no cluster is, again and again."""
    values = CHART / "ci/cert-manager.yaml"
    assert helm.template(values) == helm.template(values)
    assert {each["kind"] for each in helm.template(values)} & {"Secret"} == set()


def test_every_rendering_makes_new_keys_without_a_cluster(helm: Helm) -> None:
    one, other = (only(helm.template(MINIMAL), "Secret", "imds-emulator-ca") for _ in range(2))
    assert one["data"] != other["data"]


def _told(each: Object) -> str:
    text = msgspec.json.encode(each, order="deterministic").decode()
    # base64 of PEM's first line, and 32 random bytes twice encoded
    masked = re.sub(r'"LS0tLS1[A-Za-z0-9+/=]+"', '"PEM"', text)
    return re.sub(r'"session.key":"[A-Za-z0-9+/=]{60}"', '"session.key":"random"', masked)


def test_the_namespace_is_the_releases(helm: Helm) -> None:
    for each in helm.template(MINIMAL):
        assert each["metadata"].get("namespace", NAMESPACE) == NAMESPACE
