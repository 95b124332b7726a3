"""A VM's pod: the sidecar is added to it."""

from __future__ import annotations

from emulator.sources.admission import concerned, wanted
from emulator.sources.annotations import PREFIX
from emulator.sources.podinfo import NAMES
from emulator.webhook import injection, marks
from emulator.webhook.merge import merged
from emulator.webhook.objects import Shape, items, mapping, misshapen, put, text
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Cause, Object, Request, Verdict

_LAUNCHER = ("kubevirt.io", "virt-launcher")
_INJECTED = f"{PREFIX}injected"
_SHAPES: dict[str, Shape] = {
    "metadata": "a mapping",
    "spec": "a mapping",
    "spec.containers": "a list of mappings",
    "spec.initContainers": "a list of mappings",
    "spec.volumes": "a list of mappings",
}


def pod(request: Request, settings: Settings) -> Verdict:
    """Decide on a pod that is made: give a VM's its sidecar, or refuse it with the fix.

    A pod that has its sidecar already stays as it is, but for what differs of what is ours.
    """
    whole = request.object
    metadata = mapping(whole, "metadata")
    annotations = mapping(metadata, "annotations")
    key, value = _LAUNCHER
    if text(metadata, "labels", key) != value:
        return Verdict(object=whole, why="not a VM's pod")
    if not concerned(annotations):
        return Verdict(object=whole, why="no annotation of ours")
    causes = marks.untexts(annotations, "") or misshapen(whole, _SHAPES)
    if not causes and not wanted(annotations):
        causes = marks.misspelt(annotations, "")
        return Verdict(object=whole, causes=tuple(causes), why="not enabled")
    if not causes:
        causes = marks.oversized(annotations, "", 0) or foreign(mapping(whole, "spec"))
    if causes:
        return Verdict(object=whole, causes=tuple(causes))
    name = name_of(metadata)
    described = marks.read(
        annotations,
        "",
        name=name,
        namespace=request.namespace,
        account=text(whole, "spec", "serviceAccountName"),
    )
    if isinstance(described, list):
        return Verdict(object=whole, causes=tuple(described))
    # Last: it starts when the others have copied what they copy, and the VM starts when it runs;
    # at the end it is told first, when the VM is gone already.
    changed = merged(
        whole,
        ("spec", "initContainers"),
        [injection.container(described, name, settings)],
        keep=_OTHERS_MAY_CHANGE,
    )
    changed = merged(changed, ("spec", "volumes"), injection.volumes(described.wishes, settings))
    if annotations.get(_INJECTED) != "true":
        changed = put(changed, ("metadata", "annotations", _INJECTED), "true")
    return Verdict(object=changed)


# Of a container that is there already: other webhooks take images from a mirror, and a cluster's
# policy may set the rest. What runs in it is ours.
_OTHERS_MAY_CHANGE = ("image", "imagePullPolicy", "resources", "securityContext")


def name_of(metadata: Object) -> str:
    """Give the machine's name, empty if the pod does not tell it."""
    for owner in items(metadata, "ownerReferences"):
        if owner.get("kind") == "VirtualMachineInstance" and text(owner, "name"):
            return text(owner, "name")
    named = (text(metadata, kind, key) for kind, key in NAMES)
    return next(filter(None, named), "")


def foreign(spec: Object) -> list[Cause]:
    """Refuse a pod in which a name of ours belongs to somebody else."""
    causes: list[Cause] = []
    containers = {
        f"spec.{kind}[{index}].name": one
        for kind in ("containers", "initContainers")
        for index, one in enumerate(items(spec, kind))
        if one.get("name") == injection.CONTAINER
    }
    own = [field for field, one in containers.items() if _ours(field, one)]
    causes += [_taken(field, one) for field, one in containers.items() if field not in own[:1]]
    if not own:
        causes += [
            _taken(f"spec.volumes[{index}].name", volume)
            for index, volume in enumerate(items(spec, "volumes"))
            if volume.get("name") in injection.VOLUMES
        ]
    return causes


def _ours(field: str, container: Object) -> bool:
    arguments = container.get("args")
    return (
        field.startswith("spec.initContainers")
        and isinstance(arguments, list)
        and arguments[:1] == [injection.COMMAND]
    )


def _taken(field: str, named: Object) -> Cause:
    return Cause(
        field,
        f"found {text(named, 'name')}, which the metadata service's sidecar needs; allowed: "
        "another name",
    )
