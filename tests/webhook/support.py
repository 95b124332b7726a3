"""Objects of KubeVirt, what is asked about them, and independent eyes to look at the answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from emulator.sources.annotations import PREFIX
from emulator.webhook import review
from emulator.webhook.decide import mutate, validate
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Kind, Request, Verdict

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "kubevirt"

SETTINGS = Settings(
    image="registry.example/imds-emulator:1.0.0",
    binding_plugins=("metadata",),
    keys_namespaces=("shop",),
)
KINDS = {
    "Pod": Kind("Pod", version="v1"),
    "VirtualMachine": Kind("VirtualMachine", "kubevirt.io", "v1"),
    "VirtualMachineInstance": Kind("VirtualMachineInstance", "kubevirt.io", "v1"),
}


def fixture(name: str) -> dict[str, Any]:
    """Give the object in a file of ``fixtures/kubevirt``."""
    found: dict[str, Any] = yaml.safe_load((FIXTURES / f"{name}.yaml").read_text())
    return found


def marked(**annotations: str) -> dict[str, str]:
    """Give annotations of ours that ask for the service."""
    named = {PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    return {f"{PREFIX}enabled": "true", **named}


def request(
    whole: dict[str, Any],
    operation: str = "CREATE",
    *,
    old: dict[str, Any] | None = None,
    namespace: str = "shop",
) -> Request:
    """Give what the API server asks about ``whole``, which says its own kind."""
    return Request(
        uid="705ab4f5-6393-11e8-b7cc-42010a800002",
        kind=KINDS[whole["kind"]],
        operation=operation,
        namespace=namespace,
        name=whole["metadata"].get("name", ""),
        object=whole,
        old_object=old,
    )


def mutated(whole: dict[str, Any], settings: Settings = SETTINGS, **more: Any) -> Verdict:
    """Ask ``/mutate`` about an object that is made."""
    return mutate(request(whole, **more), settings)


def validated(whole: dict[str, Any], settings: Settings = SETTINGS, **more: Any) -> Verdict:
    """Ask ``/validate`` about it."""
    return validate(request(whole, **more), settings)


def updated(old: dict[str, Any], new: dict[str, Any], settings: Settings = SETTINGS) -> Verdict:
    """Ask ``/validate`` about a change."""
    return validate(request(new, "UPDATE", old=old), settings)


def causes(verdict: Verdict) -> dict[str, str]:
    """Give the reasons for a refusal by their fields."""
    assert len({cause.field for cause in verdict.causes}) == len(verdict.causes), verdict
    return {cause.field: cause.message for cause in verdict.causes}


def patched(whole: dict[str, Any], asked: Request, verdict: Verdict) -> Any:
    """Apply the answer's patch with somebody else's implementation."""
    answer = json.loads(review.write(asked, verdict))["response"]
    if "patch" not in answer:
        return whole
    return jsonpatch.apply_patch(whole, json.loads(base64.b64decode(answer["patch"])))


def instance(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Give a small VirtualMachineInstance."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {
            "name": "vm1",
            "annotations": marked() if annotations is None else annotations,
        },
        "spec": {"domain": {"devices": {}}, **spec},
    }


def machine(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Give a VirtualMachine with the same template."""
    template = instance(annotations, **spec)
    metadata = {"annotations": template["metadata"]["annotations"]}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "vm1"},
        "spec": {"template": {"metadata": metadata, "spec": template["spec"]}},
    }
