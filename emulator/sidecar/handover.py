"""From a sidecar's settings to the command line of the ``serve`` that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from emulator.sidecar.config import SidecarConfig

KEYS = {
    "session.key": "--session-key",
    "tls.crt": "--identity-cert",
    "tls.key": "--identity-key",
    "identity.crt": "--identity-cert",
    "identity.key": "--identity-key",
}
"""Files in the folder ``keys``, mounted from the namespace's Secret if that exists.

cert-manager's names stand before ours, which win where a Secret has both.
"""


def keys(config: SidecarConfig) -> str:
    """Give the folder with the keys."""
    return f"{config.podinfo.rstrip('/')}/keys"


def arguments(
    config: SidecarConfig, listen: Sequence[str], doors: Mapping[str, str], present: Iterable[str]
) -> list[str]:
    """Give the arguments: ``serve`` on ``listen`` and ``doors``, with the keys that are there.

    ``listen`` and the values of ``doors`` are places as ``serve`` takes them, ``present`` the
    names of files in the folder of keys.
    """
    found = set(present)
    flags = [
        *(("--listen", place) for place in listen),
        *(("--door", f"{name}={place}") for name, place in doors.items()),
        ("--operator", config.operator or _operator(config)),
        ("--state", config.state),
        ("--templates", config.templates),
        ("--audit", config.audit),
        ("--log-level", config.log_level),
        *((flag, f"{keys(config)}/{name}") for name, flag in KEYS.items() if name in found),
    ]
    given = (part for flag in flags if flag[1] for part in flag)
    return ["serve", "--podinfo", config.podinfo, *given]


def _operator(config: SidecarConfig) -> str:
    return f"unix:{config.state.rstrip('/')}/operator" if config.state else "off"
