"""What a VM's pod gets, and when it is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from emulator.sources.annotations import PREFIX
from emulator.webhook.settings import Resources, Settings
from tests.webhook.support import SETTINGS, causes, fixture, marked, mutated, patched, request


def launcher(annotations: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """Give a pod as small as a VM's can be."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {"kubevirt.io/domain": "vm1", **(annotations or marked())},
            **metadata,
        },
        "spec": {"containers": [{"name": "compute", "image": "launcher"}]},
    }


def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = [one for one in pod["spec"]["initContainers"] if one["name"] == "imds"]
    assert isinstance(found, dict)
    return found


def env(pod: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in sidecar(pod)["env"]}


def test_it_comes_last_of_the_init_containers_and_stays() -> None:
    pod = mutated(fixture("pod/launcher")).object
    names = [one["name"] for one in pod["spec"]["initContainers"]]
    assert names == ["guest-console-log", "volumed0", "imds"]
    assert sidecar(pod)["restartPolicy"] == "Always"
    probes = {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle"}
    assert probes.isdisjoint(sidecar(pod))


def test_a_pod_without_lists_gets_them() -> None:
    given = launcher()
    pod = mutated(given).object
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["imds"]
    assert [one["name"] for one in pod["spec"]["volumes"]] == [
        "imds",
        "imds-state",
        "imds-no-api-token",
    ]
    assert pod["spec"]["containers"] == given["spec"]["containers"]
    assert pod["metadata"]["annotations"][f"{PREFIX}injected"] == "true"


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"ownerReferences": [{"kind": "VirtualMachineInstance", "name": "owned"}]}, "owned"),
        ({"ownerReferences": [{"kind": "Job", "name": "other"}]}, "vm1"),
        ({"ownerReferences": None}, "vm1"),
        ({"generateName": "virt-launcher-x-", "name": "virt-launcher-x-abcde"}, "vm1"),
    ],
)
def test_the_machine_s_name_is_its_owner_s(metadata: dict[str, Any], name: str) -> None:
    assert env(mutated(launcher(**metadata)).object)["IMDS_VM_NAME"] == name


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"vm.kubevirt.io/name": "host"}, "host"),
        ({"vm.kubevirt.io/name": "host", "kubevirt.io/domain": "old"}, "old"),
        ({"vm.kubevirt.io/name": "host", "vmi.kubevirt.io/id": "vm2"}, "vm2"),
    ],
)
def test_labels_tell_the_name_where_nothing_else_does(labels: dict[str, str], name: str) -> None:
    pod = launcher(labels={"kubevirt.io": "virt-launcher", **labels})
    del pod["metadata"]["annotations"]["kubevirt.io/domain"]
    assert env(mutated(pod).object)["IMDS_VM_NAME"] == name


def test_a_pod_without_a_name_is_refused_unless_its_owner_names_the_machine() -> None:
    pod = launcher()
    del pod["metadata"]["annotations"]["kubevirt.io/domain"]
    [(field, message)] = causes(mutated(pod)).items()
    assert field == f"metadata.annotations[{PREFIX}name]"
    assert "the machine's name" in message
    pod["metadata"]["annotations"][f"{PREFIX}name"] = "mine"
    assert "IMDS_VM_NAME" not in env(mutated(pod).object)


def test_namespace_and_account_come_from_the_pod_itself() -> None:
    found = env(mutated(launcher()).object)
    assert found["IMDS_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert found["IMDS_SA_NAME"] == {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}


def test_what_is_configured_is_used() -> None:
    settings = Settings(
        image="registry.example/other@sha256:" + "0" * 64,
        image_pull_policy="Always",
        resources=Resources(cpu="250m", memory="128Mi"),
        keys_secret="our-keys",
    )
    pod = mutated(launcher(), settings).object
    container = sidecar(pod)
    assert (container["image"], container["imagePullPolicy"]) == (settings.image, "Always")
    amounts = {"cpu": "250m", "memory": "128Mi"}
    assert container["resources"] == {"requests": amounts, "limits": amounts}
    [keys] = [one["secret"] for one in sources(pod) if "secret" in one]
    assert (keys["name"], keys["optional"]) == ("our-keys", True)


def sources(pod: dict[str, Any]) -> list[dict[str, Any]]:
    [volume] = [one for one in pod["spec"]["volumes"] if one["name"] == "imds"]
    found = volume["projected"]["sources"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("annotations", "source"),
    [
        (
            {"user_data_secret": "boot"},
            {
                "secret": {
                    "name": "boot",
                    "items": [{"key": "userdata", "path": "secrets/user-data"}],
                }
            },
        ),
        (
            {"user_data_configmap": "boot/a.b"},
            {
                "configMap": {
                    "name": "boot",
                    "items": [{"key": "a.b", "path": "secrets/user-data"}],
                }
            },
        ),
        (
            {"vendor_data_secret": "site/v"},
            {"secret": {"name": "site", "items": [{"key": "v", "path": "secrets/vendor-data"}]}},
        ),
        (
            {"vendor_data_configmap": "site"},
            {
                "configMap": {
                    "name": "site",
                    "items": [{"key": "vendordata", "path": "secrets/vendor-data"}],
                }
            },
        ),
        (
            {"token_audiences": "https://vault.example;600"},
            {
                "serviceAccountToken": {
                    "path": "tokens/audience-02d1d6f1d3e9e7f0",
                    "audience": "https://vault.example",
                    "expirationSeconds": 600,
                }
            },
        ),
    ],
)
def test_what_the_owner_names_is_projected(
    annotations: dict[str, str], source: dict[str, Any]
) -> None:
    found = sources(mutated(launcher(marked(**annotations))).object)
    [other] = [one for one in found if one not in sources(mutated(launcher()).object)]
    if "serviceAccountToken" in source:  # its file is named by a hash of the audience
        assert other["serviceAccountToken"].pop("path").startswith("tokens/audience-")
        del source["serviceAccountToken"]["path"]
    assert other == source


@pytest.mark.parametrize(
    ("annotations", "arguments"),
    [
        ({"bridge_name": "k6t-eth1"}, ["--bridge", "k6t-eth1"]),
        ({"plumbing": "plugin"}, ["--plumbing", "none"]),
        ({"persona": "azure"}, ["--door", "wireserver"]),
        ({"dialects": "openstack, azure"}, ["--door", "wireserver"]),
        ({"templates_configmap": "ours"}, ["--templates", "/etc/imds-emulator/templates"]),
        ({"audit": "false"}, ["--audit", "off"]),
        ({"log_level": "debug"}, ["--log-level", "debug"]),
        ({"audit": "true", "log_level": "info", "plumbing": "sidecar"}, []),
    ],
)
def test_the_sidecar_is_told_what_is_not_as_usual(
    annotations: dict[str, str], arguments: list[str]
) -> None:
    usual = ["sidecar", "--podinfo", "/run/imds", "--state", "/var/lib/imds-emulator"]
    assert sidecar(mutated(launcher(marked(**annotations))).object)["args"] == usual + arguments


@pytest.mark.parametrize(
    "pod",
    [
        launcher(labels={"kubevirt.io": "hotplug-disk"}),
        launcher(labels=None),
        launcher({"other": "annotation"}),
        launcher({f"{PREFIX}enabled": "false", f"{PREFIX}tags": "broken"}),
        launcher({f"{PREFIX}persona": "aws"}),
        {"kind": "Pod", "metadata": {}, "spec": {}},
        {"kind": "Pod", "metadata": {"labels": {"kubevirt.io": "virt-launcher"}}},
    ],
)
def test_others_stay_as_they_are(pod: dict[str, Any]) -> None:
    verdict = mutated(pod)
    assert verdict.allowed
    assert verdict.object is pod
    assert verdict.why


def test_annotations_that_are_wrong_are_refused_here_too() -> None:
    pod = launcher(marked(tags="a", colour="red", hostname="-"))
    found = causes(mutated(pod))
    assert set(found) == {
        f"metadata.annotations[{PREFIX}{name}]" for name in ("tags", "colour", "hostname")
    }
    pod = launcher({f"{PREFIX}enabled": "yes"})
    assert causes(mutated(pod)) == {
        f"metadata.annotations[{PREFIX}enabled]": 'found "yes"; allowed: true or false'
    }


def test_annotations_that_kubernetes_will_refuse_are_not_read() -> None:
    """It asks before it looks at their size, and anybody may call a pod a VM's."""
    [field] = causes(mutated(launcher(marked(tags="x" * (256 << 10)))))
    assert field == "metadata.annotations"
    # With what KubeVirt and admission have added to a VM's that were just small enough.
    assert mutated(launcher(marked(user_data="x" * (255 << 10)))).allowed


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"containers": [{"name": "imds"}]}, "spec.containers[0].name"),
        ({"initContainers": [{"name": "imds"}]}, "spec.initContainers[0].name"),
        (
            {"initContainers": [{"name": "a"}, {"name": "imds", "args": ["serve"]}]},
            "spec.initContainers[1].name",
        ),
        ({"volumes": [{"name": "imds", "emptyDir": {}}]}, "spec.volumes[0].name"),
        ({"volumes": [{"name": "a"}, {"name": "imds-templates"}]}, "spec.volumes[1].name"),
    ],
)
def test_names_of_ours_that_others_have_are_refused(spec: dict[str, Any], field: str) -> None:
    pod = launcher()
    pod["spec"].update(spec)
    [(found, message)] = causes(mutated(pod)).items()
    assert found == field
    assert "another name" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("initContainers", "x"),
        ("initContainers", ["x"]),
        ("volumes", {"a": 1}),
        ("containers", 5),
        ("volumes", True),
    ],
)
def test_a_pod_of_no_pod_s_shape_is_refused(path: str, value: object) -> None:
    pod = launcher()
    pod["spec"][path] = value
    [(found, message)] = causes(mutated(pod)).items()
    assert found == f"spec.{path}"
    assert "allowed: a list of mappings" in message


def test_null_is_as_good_as_nothing() -> None:
    pod = launcher()
    pod["spec"] |= {"initContainers": None, "volumes": None}
    changed = mutated(pod).object
    assert [one["name"] for one in changed["spec"]["initContainers"]] == ["imds"]
    assert patched(pod, request(pod), mutated(pod)) == changed


def test_what_others_made_of_it_stays() -> None:
    """The API server asks again after webhooks that came later (``reinvocationPolicy``)."""
    pod = copy.deepcopy(mutated(fixture("pod/launcher")).object)
    container = sidecar(pod)
    container["image"] = "mirror.example/imds-emulator@sha256:" + "1" * 64
    container["imagePullPolicy"] = "Always"
    container["env"].insert(0, {"name": "HTTPS_PROXY", "value": "http://proxy.example"})
    container["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    container["volumeMounts"].append({"name": "roots", "mountPath": "/etc/ssl/certs"})
    container["securityContext"]["seLinuxOptions"] = {"type": "container_t"}
    container["terminationMessagePath"] = "/dev/termination-log"
    pod["spec"]["initContainers"].append({"name": "mesh", "restartPolicy": "Always"})
    pod["spec"]["volumes"].insert(0, {"name": "roots", "configMap": {"name": "roots"}})
    verdict = mutated(pod)
    assert verdict.allowed
    assert verdict.object is pod


def test_what_is_ours_is_set_right_in_its_place() -> None:
    pod = copy.deepcopy(mutated(fixture("pod/launcher")).object)
    pod["spec"]["initContainers"].append({"name": "mesh"})
    pod["metadata"]["annotations"][f"{PREFIX}token-audiences"] = "vault"
    pod["metadata"]["annotations"][f"{PREFIX}log-level"] = "debug"
    del sidecar(pod)["volumeMounts"][2]
    sidecar(pod)["env"][2]["value"] = "other"
    sidecar(pod)["env"].append({"name": "ADDED", "value": "by somebody"})
    changed = mutated(pod).object
    names = [one["name"] for one in changed["spec"]["initContainers"]]
    assert names == ["guest-console-log", "volumed0", "imds", "mesh"]
    assert sidecar(changed)["args"][-2:] == ["--log-level", "debug"]
    assert env(changed) == {
        "IMDS_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "IMDS_SA_NAME": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}},
        "IMDS_VM_NAME": "vm1",
        "ADDED": "by somebody",
    }
    assert len(sidecar(changed)["volumeMounts"]) == 3
    assert "vault" in str(sources(changed))
    assert len(changed["spec"]["volumes"]) == len(pod["spec"]["volumes"])
    assert mutated(changed).object is changed


def test_a_claim_to_be_injected_is_no_sidecar() -> None:
    pod = launcher(marked(injected="true"))
    assert sidecar(mutated(pod).object)["image"] == SETTINGS.image


def test_of_two_that_look_like_ours_one_is_refused() -> None:
    pod = copy.deepcopy(mutated(launcher()).object)
    pod["spec"]["initContainers"].append(copy.deepcopy(sidecar(pod)))
    assert list(causes(mutated(pod))) == ["spec.initContainers[1].name"]
