"""How a sidecar is run: every setting, its default, and why it is that."""

from __future__ import annotations

import msgspec

PLUMBING = ("bridge", "none")


class SidecarConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``sidecar`` was asked to do.

    ``podinfo``, ``state``, ``templates``, ``audit`` and ``log_level`` are those of ``serve``;
    keys are taken from the folder ``keys`` of ``podinfo`` if they are there. ``plumbing`` is
    ``bridge`` to lay the cable to the guest, or ``none`` where a network plugin has done it.
    ``bridge`` names the bridge to wait for, empty for KubeVirt's. ``doors`` have the addresses of
    further places where guests ask, by their names. ``user`` and group of that number is what the
    server runs as. ``listen`` is where it listens without plumbing, by default port 80 of the
    metadata addresses that the pod has. ``operator`` is a unix socket in ``state`` by default:
    with masquerade binding KubeVirt lets guests reach the pod's loopback.
    """

    podinfo: str = ""
    state: str = ""
    templates: str = ""
    plumbing: str = "bridge"
    bridge: str = ""
    doors: tuple[tuple[str, str], ...] = ()
    user: int = 65532
    listen: tuple[str, ...] = ()
    operator: str = ""
    audit: str = "-"
    log_level: str = "info"
