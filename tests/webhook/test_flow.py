"""From a VirtualMachine to its pod, KubeVirt's part imitated: all see the same machine."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from emulator.dialects import VOCABULARY
from emulator.model.instance import Instance
from emulator.sources.admission import described
from tests.webhook import policy
from tests.webhook.support import fixture, machine, marked, mutated, validated

CHOSEN = "5d307ca9-b3ef-428c-8861-06e72d69f223"
ANY = "0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90"
# What stock guests look for (contract 7.2).
ASSETS = {"default": "OpenStack Nova", "azure": "7783-7084-3265-9085-8269-3286-77"}
SERIALS = {"nocloud": "ds=nocloud;", "gcp": "GoogleCloud-", "aws": "ec2"}


def admitted(whole: dict[str, Any]) -> dict[str, Any]:
    """Create an object: mutated, mutated by others, mutated again, validated."""
    changed = mutated(whole).object
    if whole["kind"] == "VirtualMachine":
        # KubeVirt's own webhook comes later, and chooses UUID and serial where there is none.
        changed = copy.deepcopy(changed)
        firmware = changed["spec"]["template"]["spec"]["domain"].setdefault("firmware", {})
        firmware.setdefault("uuid", CHOSEN)
        firmware.setdefault("serial", ANY)
    if whole["kind"] == "Pod":
        changed = policy.defaulted(changed)
    assert mutated(changed).object is changed
    assert validated(changed).causes == ()
    assert isinstance(changed, dict)
    return changed


def instance_of(vm: dict[str, Any]) -> dict[str, Any]:
    """Make what KubeVirt makes of a VirtualMachine to start it."""
    template = copy.deepcopy(vm["spec"]["template"])
    name = vm["metadata"]["name"]
    owner = {"kind": "VirtualMachine", "name": name, "controller": True}
    metadata = {**template["metadata"], "name": name, "ownerReferences": [owner]}
    return {"kind": "VirtualMachineInstance", "metadata": metadata, "spec": template["spec"]}


def pod_of(vmi: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Make its pod: the annotations are copied."""
    pod = fixture("pod/launcher")
    pod["metadata"]["generateName"] = f"virt-launcher-{suffix}-"
    pod["metadata"]["annotations"].update(vmi["metadata"]["annotations"])
    return pod


def served(pod: dict[str, Any]) -> Instance:
    [container] = [c for c in pod["spec"]["initContainers"] if c["name"] == "imds"]
    [name] = [e["value"] for e in container["env"] if e["name"] == "IMDS_VM_NAME"]
    annotations = pod["metadata"]["annotations"]
    return described(annotations, VOCABULARY, name=name, namespace="shop").instance


@pytest.mark.parametrize("persona", sorted(VOCABULARY.personas))
def test_guest_and_service_agree_on_the_machine(persona: str) -> None:
    vm = admitted(machine(marked(persona=persona), hostname="web"))
    vmi = admitted(instance_of(vm))
    pod = admitted(pod_of(vmi, "vm1"))
    found = served(pod)
    firmware = vmi["spec"]["domain"]["firmware"]
    assert found.uuid == firmware["uuid"]
    assert (found.name, found.hostname) == ("vm1", "web")
    assert (found.uuid == CHOSEN) == (persona != "aws")
    assert vmi["spec"]["domain"].get("chassis", {}).get("asset") == ASSETS.get(persona)
    assert firmware["serial"].startswith(SERIALS.get(persona, ANY))
    assert set(VOCABULARY.personas[persona]) <= set(found.dialects)


def test_a_migration_s_target_is_the_same_machine() -> None:
    vmi = admitted(instance_of(admitted(machine(marked(token_audiences="vault")))))
    source, target = (admitted(pod_of(vmi, suffix)) for suffix in ("source", "target"))
    assert served(source) == served(target)
    assert source["spec"]["initContainers"] == target["spec"]["initContainers"]


def test_without_the_annotation_the_next_start_has_nothing() -> None:
    vm = admitted(machine(marked()))
    vm["spec"]["template"]["metadata"]["annotations"] = {}
    vmi = instance_of(vm)
    assert admitted(vmi) is vmi
    pod = fixture("pod/launcher")
    pod["metadata"]["annotations"].pop("imds.kubevirt.io/enabled")
    assert mutated(pod).object is pod
