"""What KubeVirt makes of a VirtualMachine, with our admission where the API server calls it."""

from __future__ import annotations

import copy
import uuid
from pathlib import Path
from typing import Any

import msgspec
import yaml

from emulator.webhook.decide import mutate, validate
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Kind, Request

Object = dict[str, Any]

SETTINGS = Settings(image="registry.example/imds-emulator:1.0.0")

_POD = Path(__file__).parents[2] / "fixtures/kubevirt/pod/launcher.yaml"

# By which KubeVirt makes the UUID of a VM that has none, of its name alone
# (kubevirt/kubevirt, pkg/virt-controller/watch/vm).
_LEGACY = uuid.UUID("6a1a24a1-4061-4607-8bf4-a3963d0c5895")


class Started(msgspec.Struct):
    """A VM that was started: its instance, its pod, and what admission warned of."""

    instance: Object
    pod: Object
    warnings: list[str]


def start(machine: Object, settings: Settings = SETTINGS) -> Started:
    """Create ``machine`` and what follows from it, each step through admission."""
    warnings: list[str] = []
    made = admitted(machine, settings, warnings)
    template = made["spec"]["template"]
    domain = template["spec"]["domain"]
    name = made["metadata"]["name"]
    domain.setdefault("firmware", {}).setdefault("uuid", str(uuid.uuid5(_LEGACY, name)))
    template["spec"].setdefault("architecture", "amd64")
    instance = admitted(
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {
                **template.get("metadata", {}),
                "name": name,
                "namespace": made["metadata"]["namespace"],
                "uid": str(uuid.uuid4()),
            },
            "spec": template["spec"],
        },
        settings,
        warnings,
    )
    return Started(instance, launched(instance, settings, warnings), warnings)


def launched(
    instance: Object, settings: Settings = SETTINGS, warnings: list[str] | None = None
) -> Object:
    """Give the virt-launcher pod of ``instance``, as the scheduler finds it."""
    pod: Object = yaml.safe_load(_POD.read_text())
    metadata, name = instance["metadata"], instance["metadata"]["name"]
    host = instance["spec"].get("hostname", name)
    pod["metadata"] = {
        "generateName": f"virt-launcher-{name}-",
        "namespace": metadata["namespace"],
        "annotations": {"kubevirt.io/domain": name, **metadata["annotations"]},
        "labels": {
            **metadata.get("labels", {}),
            "kubevirt.io": "virt-launcher",
            "kubevirt.io/created-by": metadata["uid"],
            "vm.kubevirt.io/name": host,
        },
        "ownerReferences": [
            {
                "apiVersion": "kubevirt.io/v1",
                "kind": "VirtualMachineInstance",
                "name": name,
                "uid": metadata["uid"],
            }
        ],
    }
    pod["spec"]["hostname"] = host
    made = admitted(pod, settings, [] if warnings is None else warnings)
    made["metadata"]["name"] = f"virt-launcher-{name}-{uuid.uuid4().hex[:5]}"
    made["metadata"]["uid"] = str(uuid.uuid4())
    return made


def admitted(made: Object, settings: Settings, warnings: list[str]) -> Object:
    """Give what the API server stores of an object that is created."""
    group, _, version = made["apiVersion"].rpartition("/")
    request = Request(
        uid=str(uuid.uuid4()),
        kind=Kind(made["kind"], group, version),
        operation="CREATE",
        namespace=made["metadata"]["namespace"],
        name=made["metadata"].get("name", ""),
        object=copy.deepcopy(made),
    )
    verdict = mutate(request, settings)
    assert verdict.allowed, verdict.causes
    warnings += verdict.warnings
    stored: Object = copy.deepcopy(verdict.object)
    assert validate(msgspec.structs.replace(request, object=stored), settings).allowed
    return stored


def smbios(instance: Object) -> list[str]:
    """Give QEMU's arguments that libvirt makes of the instance's firmware and chassis.

    The rest is what KubeVirt has for all VMs.
    """
    domain = instance["spec"]["domain"]
    firmware, chassis = domain.get("firmware", {}), domain.get("chassis", {})
    system = {
        "manufacturer": "KubeVirt",
        "product": "None",
        "serial": firmware.get("serial", ""),
        "uuid": firmware.get("uuid", ""),
        "family": "KubeVirt",
    }
    tables = {"1": system, "3": {name: chassis.get(name, "") for name in ("serial", "asset")}}
    arguments = []
    for table, fields in tables.items():
        given = [f"{key}={value.replace(',', ',,')}" for key, value in fields.items() if value]
        if given:
            arguments += ["-smbios", ",".join((f"type={table}", *given))]
    return arguments
