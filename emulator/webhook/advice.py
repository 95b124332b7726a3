"""Warnings: what an owner should know of a VM that is let in all the same.

The API server cuts a warning after 256 characters, and all of them after 4096.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from emulator.sources.annotations import PREFIX
from emulator.webhook.network import Network
from emulator.webhook.objects import at, items, text
from emulator.webhook.settings import KEYS_SECRET, Settings
from emulator.webhook.verdict import Object

MANUAL = "docs/kubevirt.md"
LONGEST = 256
"""Characters of a warning."""

NOT_ENABLED = f'{PREFIX}* does nothing without {PREFIX}enabled: "true"'
MISPLACED = (
    f"{PREFIX}* of the VirtualMachine itself does nothing: it belongs into "
    "spec.template.metadata.annotations"
)

# Where KubeVirt sets no SMBIOS.
_WITHOUT_SMBIOS = frozenset(("arm64", "ppc64le", "s390x"))
_CLOUD_INIT = ("cloudInitConfigDrive", "cloudInitNoCloud")
_LABELS = frozenset(("cidata", "config-2"))
_DISKS = ("configMap", "secret", "downwardAPI")

_CLOUDS = {
    "gce": "persona gcp: guests look for metadata.google.internal, which the cluster's DNS must "
    f"lead to 169.254.169.254: {MANUAL}",
    "azure": "persona azure: guests must use DHCP and reach 168.63.129.16 by their default "
    f"route, or cloud-init waits 20 minutes: {MANUAL}",
}


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """What a VM looks like: its spec, the dialect that its guest is to find, its network.

    ``plugin`` says that a network binding plugin leads the guest to its sidecar.
    """

    spec: Object
    namespace: str
    dialect: str
    network: Network
    plugin: bool


def advice(vm: Looks, settings: Settings) -> Iterator[str]:
    """Give the warnings for a VM that gets a sidecar."""
    yield from _hidden(vm)
    yield from _disks(vm.spec)
    if vm.dialect in _CLOUDS:
        yield _CLOUDS[vm.dialect]
    if not vm.plugin:
        yield (
            f"namespace {vm.namespace} must admit pods with NET_ADMIN (PodSecurity: privileged): "
            f"{MANUAL}"
        )
    elif not vm.network.plugins:
        yield (
            f"{PREFIX}plumbing is plugin, but no interface has a binding among the webhooks' "
            "bindingPlugins: something else must lead guests to the sidecar"
        )
    if vm.namespace not in settings.keys_namespaces:
        yield _keyless(vm.namespace, settings)


def _keyless(namespace: str, settings: Settings) -> str:
    """Say how to make a namespace's keys, or where that is written if it takes too many words."""
    name = settings.keys_secret
    flag = "" if name == KEYS_SECRET else f" --secret {name}"
    authority = settings.authority_namespace or "RELEASE_NAMESPACE"
    command = (
        f"Secret {name} may be missing: kubectl -n {authority} get secret imds-emulator-ca "
        f"-o json | imds-emulator keys {namespace}{flag} | kubectl apply -f -"
    )
    if len(command) <= LONGEST:
        return command
    return f"namespace {namespace} may have no Secret with keys: imds-emulator keys, {MANUAL}"


def _hidden(vm: Looks) -> Iterator[str]:
    """Warn of a guest that has no SMBIOS to look into."""
    architecture = text(vm.spec, "architecture")
    if vm.dialect and architecture in _WITHOUT_SMBIOS:
        yield (
            f"{architecture} VMs have no SMBIOS, by which guests find {vm.dialect}: name it in "
            f"the image's datasource_list or on the kernel's command line: {MANUAL}"
        )


def _disks(spec: Object) -> Iterator[str]:
    """Warn of disks that cloud-init reads instead of asking the network."""
    for volume in items(spec, "volumes"):
        labels = (text(volume, kind, "volumeLabel").lower() for kind in _DISKS)
        if any(at(volume, kind) is not None for kind in _CLOUD_INIT) or not _LABELS.isdisjoint(
            labels
        ):
            yield (
                f"volume {text(volume, 'name')[:63]} is a cloud-init disk: cloud-init reads it "
                "and does not ask the metadata service; leave it out"
            )
