"""Decides on VirtualMachines and VirtualMachineInstances."""

from __future__ import annotations

from emulator.webhook.objects import at, put
from emulator.webhook.settings import Settings
from emulator.webhook.smbios import Fields
from emulator.webhook.template import Findings, Template, examine
from emulator.webhook.verdict import Object, Request, Verdict

INSTANCE: tuple[str, ...] = ()
TEMPLATE = ("spec", "template")
"""Where the template is: in a VirtualMachineInstance, in a VirtualMachine."""


def instance(request: Request, settings: Settings) -> Verdict:
    """Decide on a VirtualMachineInstance that is made: complete it, or refuse it with the fix."""
    found = examine(request, Template(request.object, INSTANCE), settings)
    changed = request.object
    if not found.causes:
        for name, value in found.annotations.items():
            changed = put(changed, ("metadata", "annotations", name), value)
        changed = _set(changed, INSTANCE, found.fields)
    return _verdict(changed, found)


def virtual_machine(request: Request, settings: Settings) -> Verdict:
    """Decide on a VirtualMachine that is made.

    Its template stays as it is, so that who keeps manifests elsewhere sees no difference: nearly
    all can be set in each instance. But KubeVirt gives a VirtualMachine without ``firmware.uuid``
    or ``firmware.serial`` random ones, and keeps those. So where one must be a certain one, it is
    set now.
    """
    found = examine(request, Template(request.object, TEMPLATE), settings)
    changed = request.object
    if not found.causes:
        changed = _set(changed, TEMPLATE, found.lasting)
    return _verdict(changed, found)


def updated(request: Request, path: tuple[str, ...], settings: Settings) -> Verdict:
    """Decide on a change of an object whose template is at ``path``.

    Only what the change brings is refused: what was wrong before must not keep anybody from ending
    the VM, nor KubeVirt from working on it.
    """
    new, old = Template(request.object, path), Template(request.old_object, path)
    if at(new.whole, "metadata", "deletionTimestamp") is not None:
        return Verdict(object=new.whole, why="being deleted")
    if new.looked_at == old.looked_at:
        return Verdict(object=new.whole, why="nothing of ours changed")
    found, before = examine(request, new, settings), examine(request, old, settings)
    causes = found.causes
    if new.ours == old.ours:
        known = {cause.field for cause in before.causes}
        causes = tuple(cause for cause in causes if cause.field not in known)
    warnings = tuple(warning for warning in found.warnings if warning not in before.warnings)
    return Verdict(object=new.whole, causes=causes, warnings=warnings, why=found.why)


def _set(whole: Object, path: tuple[str, ...], fields: Fields) -> Object:
    for field, value in fields:
        whole = put(whole, (*path, *field.split(".")), value)
    return whole


def _verdict(changed: Object, found: Findings) -> Verdict:
    return Verdict(object=changed, causes=found.causes, warnings=found.warnings, why=found.why)
