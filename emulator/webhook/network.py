"""How a VM is bound to its networks, and whether its guest can be met there."""

from __future__ import annotations

import msgspec

from emulator.webhook.objects import at, items, text
from emulator.webhook.settings import Settings
from emulator.webhook.verdict import Cause, Object

# The guest's packets pass no bridge of the pod: a device of the host is handed over (sriov,
# macvtap), or QEMU and passt speak for the guest.
_BRIDGELESS = ("sriov", "macvtap", "passt", "passtBinding", "slirp")
_ADVICE = (
    "an interface with bridge or masquerade, such as {name: default, masquerade: {}}, or with a "
    "binding among the webhooks' bindingPlugins"
)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What a VM's interfaces are bound by.

    ``bridges`` says whether any is by a bridge in its pod, or may be: one without a word is as
    KubeVirt decides. ``plugins`` are those bindings of the settings' that it has, ``others`` what
    has no bridge.
    """

    bridges: bool
    plugins: tuple[str, ...]
    others: tuple[str, ...]


def network(spec: Object, settings: Settings) -> Network:
    """Read the interfaces of a VirtualMachineInstance's ``spec``.

    Without any, KubeVirt gives it one on the pod's network, by bridge or masquerade as the cluster
    is configured, unless it must not.
    """
    interfaces = [
        interface
        for interface in items(spec, "domain", "devices", "interfaces")
        if text(interface, "state") != "absent"  # being unplugged
    ]
    if not interfaces:
        unwanted = at(spec, "domain", "devices", "autoattachPodInterface") is False
        return Network(bridges=not unwanted, plugins=(), others=())
    bindings = [_binding(interface) for interface in interfaces]
    able = {f"plugin {name}" for name in settings.binding_plugins}
    plugins = tuple(name for name in bindings if name in able)
    others = tuple(name for name in bindings if name and name not in plugins)
    return Network(bridges="" in bindings, plugins=plugins, others=others)


def unreachable(found: Network, place: str) -> list[Cause]:
    """Refuse a VM whose guest could never ask."""
    if found.bridges or found.plugins:
        return []
    if found.others:
        names = ", ".join(dict.fromkeys(found.others))
        why = f"found {names} only, which have no bridge to meet the guest on; allowed: {_ADVICE}"
        return [Cause(f"{place}spec.domain.devices.interfaces", why)]
    why = f"found false, and no interfaces; allowed: true, or {_ADVICE}"
    return [Cause(f"{place}spec.domain.devices.autoattachPodInterface", why)]


def _binding(interface: Object) -> str:
    """Give the name of what binds an interface; empty for a bridge."""
    plugin = text(interface, "binding", "name")
    if plugin:
        return f"plugin {plugin}"
    return next((name for name in _BRIDGELESS if interface.get(name) is not None), "")
