"""What a VM is started from: a VirtualMachineInstance, or the template of a VirtualMachine."""

from __future__ import annotations

import re

import msgspec

from emulator.model.kubernetes import LABEL
from emulator.sources.admission import Described, concerned, wanted
from emulator.sources.annotations import PREFIX
from emulator.webhook import advice, marks
from emulator.webhook.injection import VOLUMES
from emulator.webhook.network import Network, network, unreachable
from emulator.webhook.objects import Shape, items, mapping, misshapen, text
from emulator.webhook.settings import Settings
from emulator.webhook.smbios import Fields, Owned, Smbios, persona, smbios
from emulator.webhook.verdict import Cause, Object, Request

UUID, HOSTNAME, PLUMBING = (f"{PREFIX}{name}" for name in ("uuid", "hostname", "plumbing"))

_SHAPES: dict[str, Shape] = {
    "metadata": "a mapping",
    "spec": "a mapping",
    "spec.domain": "a mapping",
    "spec.domain.chassis": "a mapping",
    "spec.domain.chassis.asset": "text",
    "spec.domain.devices": "a mapping",
    "spec.domain.devices.interfaces": "a list of mappings",
    "spec.domain.firmware": "a mapping",
    "spec.domain.firmware.serial": "text",
    "spec.domain.firmware.uuid": "text",
    "spec.hostname": "text",
    "spec.volumes": "a list of mappings",
}
# Bytes of annotations that KubeVirt and we add before there is a pod.
_ROOM = 4 << 10
# What KubeVirt admits as a host name; anything else it refuses itself.
_HOSTNAME = re.compile(LABEL)


class Template(msgspec.Struct, frozen=True):
    """The part of ``whole`` at ``path`` from which a VM is started; ``whole`` itself at ()."""

    whole: Object
    path: tuple[str, ...]

    @property
    def place(self) -> str:
        """Its path as the API server writes it, with a dot at its end unless empty."""
        return "".join(f"{name}." for name in self.path)

    @property
    def annotations(self) -> Object:
        """Those that its pod will have."""
        return mapping(self.whole, *self.path, "metadata", "annotations")

    @property
    def spec(self) -> Object:
        """The ``spec`` of the instance."""
        return mapping(self.whole, *self.path, "spec")

    @property
    def ours(self) -> Object:
        """Those annotations that are ours, rightly spelled or not."""
        return marks.ours(self.annotations)

    @property
    def misplaced(self) -> Object:
        """Those of ours that a VirtualMachine has itself, where they do nothing."""
        return marks.ours(mapping(self.whole, "metadata", "annotations")) if self.path else {}

    @property
    def looked_at(self) -> tuple[Object, Object, Object]:
        """All that an update is looked at for."""
        return self.ours, self.misplaced, self.spec


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a template: mistakes, warnings, and what is to be set in an instance.

    ``annotations`` are set by name, ``fields`` by dotted path; ``lasting`` are those fields that
    a VirtualMachine needs itself. ``why`` says why there is nothing.
    """

    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    fields: Fields = ()
    lasting: Fields = ()
    why: str = ""


def examine(request: Request, template: Template, settings: Settings) -> Findings:
    """Look at a template."""
    annotations, place = template.annotations, template.place
    warnings: tuple[str, ...] = (advice.MISPLACED,) if template.misplaced else ()
    if not concerned(annotations):
        return Findings(warnings=warnings, why="no annotation of ours")
    causes = marks.untexts(annotations, place)
    if not causes and not wanted(annotations):
        causes = marks.misspelt(annotations, place)
        if marks.ENABLED not in annotations:
            warnings += (advice.NOT_ENABLED,)
        return Findings(causes=tuple(causes), warnings=warnings, why="not enabled")
    part = mapping(template.whole, *template.path)
    causes = causes or marks.oversized(annotations, place, _ROOM)
    causes = causes or misshapen(part, _SHAPES, place)
    if causes:
        return Findings(causes=tuple(causes), warnings=warnings)
    found = _enabled(request, template, settings)
    return msgspec.structs.replace(found, warnings=warnings + found.warnings)


def _enabled(request: Request, template: Template, settings: Settings) -> Findings:
    """Look at the template of a VM that is to have the metadata service."""
    spec, place = template.spec, template.place
    net = network(spec, settings)
    added = _added(template, net)
    name = text(template.whole, "metadata", "name")
    described = marks.read(
        {**template.annotations, **added},
        place,
        name=name or text(template.whole, "metadata", "generateName").rstrip("-.") or "vm",
        namespace=request.namespace,
    )
    taken = _taken(spec, place)
    if isinstance(described, list):
        return Findings(causes=(*described, *taken))
    seen = smbios(_owned(request, template, described, name))
    plugin = described.wishes.plumbing == "plugin"
    closed = [] if plugin else unreachable(net, place)
    looks = advice.Looks(
        spec=spec,
        namespace=request.namespace,
        dialect=persona(described)[0],
        network=net,
        plugin=plugin,
    )
    return Findings(
        causes=(*taken, *closed, *seen.causes),
        warnings=(*seen.warnings, *advice.advice(looks, settings)),
        annotations=_annotations(template, seen, added),
        fields=seen.fields,
        lasting=seen.lasting,
    )


def _added(template: Template, net: Network) -> dict[str, str]:
    """Give the annotations that the VM itself answers, where its owner did not.

    The host name is without the subdomain: what would follow it is the cluster's domain, which is
    not known here.
    """
    added = {}
    hostname = text(template.spec, "hostname")
    if HOSTNAME not in template.annotations and _HOSTNAME.fullmatch(hostname):
        added[HOSTNAME] = hostname
    if net.plugins and PLUMBING not in template.annotations:
        added[PLUMBING] = "plugin"
    return added


def _annotations(template: Template, seen: Smbios, added: dict[str, str]) -> dict[str, str]:
    """Give what is to be added, with the UUID that the guest has: it is then served too."""
    return added if template.annotations.get(UUID) else {**added, UUID: seen.uuid}


def _owned(request: Request, template: Template, described: Described, name: str) -> Owned:
    return Owned(
        described=described,
        spec=template.spec,
        place=template.place,
        namespace=request.namespace,
        noted=template.annotations.get(UUID, ""),
        named=bool(name),
        request=request.uid,
        machine=_machine(request, template, name),
        fill=request.operation == "CREATE",
    )


def _machine(request: Request, template: Template, name: str) -> str:
    """Give the VirtualMachine that exists and would have to be changed; empty without one."""
    if template.path:
        return "" if request.operation == "CREATE" else name
    owners = items(template.whole, "metadata", "ownerReferences")
    names = (text(one, "name") for one in owners if one.get("kind") == "VirtualMachine")
    return next(filter(None, names), "")


def _taken(spec: Object, place: str) -> list[Cause]:
    """Refuse names of volumes that the pod has for its sidecar: KubeVirt takes them over."""
    return [
        Cause(
            f"{place}spec.volumes[{index}].name",
            f"found {volume['name']}, which the metadata service's sidecar needs; allowed: "
            "another name, here and in spec.domain.devices",
        )
        for index, volume in enumerate(items(spec, "volumes"))
        if volume.get("name") in VOLUMES
    ]
