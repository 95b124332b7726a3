"""Who decides: by what the object is, and by what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from emulator.webhook.machine import INSTANCE, TEMPLATE, instance, updated, virtual_machine
from emulator.webhook.pod import pod
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Request, Verdict

Decision = Callable[[Request, Settings], Verdict]

KUBEVIRT = "kubevirt.io"

_MADE: Mapping[tuple[str, str], Decision] = {
    ("", "Pod"): pod,
    (KUBEVIRT, "VirtualMachineInstance"): instance,
    (KUBEVIRT, "VirtualMachine"): virtual_machine,
}
_TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    (KUBEVIRT, "VirtualMachineInstance"): INSTANCE,
    (KUBEVIRT, "VirtualMachine"): TEMPLATE,
}


def mutate(request: Request, settings: Settings) -> Verdict:
    """Decide what becomes of an object that is made; anything else is let in as it is."""
    what = (request.kind.group, request.kind.kind)
    if what not in _MADE or request.sub_resource:
        return Verdict(object=request.object, why="not for us")
    if request.operation != "CREATE":
        return Verdict(object=request.object, why="not made")
    return _MADE[what](request, settings)


def validate(request: Request, settings: Settings) -> Verdict:
    """Decide whether an object is let in, as all have left it who may change it."""
    what = (request.kind.group, request.kind.kind)
    if request.operation == "UPDATE" and what in _TEMPLATES and not request.sub_resource:
        return updated(request, _TEMPLATES[what], settings)
    return replace(mutate(request, settings), object=request.object)
