"""How strictly a machine is held to session tokens, and what the fleet makes of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec
from msgspec.structs import replace

from emulator.dialects import switched_on
from emulator.dialects.ec2.section import Ec2Policy
from emulator.dialects.kubevirt import KubeVirtPolicy
from emulator.model.instance import Instance

Mode = Literal["optional", "observe", "required"]

MODES: tuple[str, ...] = ("off", "optional", "observe", "required")
"""From the weakest to the strictest; ``off`` is of machines that take no session tokens."""


def mode_of(instance: Instance) -> str:
    """Say how a machine is held to session tokens: by EC2's dialect, or else by the native one."""
    return _mode(tuple(instance.dialects.items()))


@lru_cache(maxsize=256)
def _mode(dialects: tuple[tuple[str, msgspec.Struct], ...]) -> str:
    mode = "off"
    for _, policy in switched_on(Instance(name="any", dialects=dict(dialects))):
        # EC2 comes after the native dialect.
        if isinstance(policy, Ec2Policy | KubeVirtPolicy) and policy.gives_tokens:
            mode = policy.tokens
    return mode


def held_to(instance: Instance, mode: Mode) -> Instance:
    """Give ``instance`` as it is in a fleet that is held to ``mode``.

    It takes the place of ``auto``, and strengthens what its owner chose; it never weakens that.
    A dialect that takes no session tokens goes on without.
    """
    held = {}
    for name, policy in instance.dialects.items():
        if not isinstance(policy, Ec2Policy | KubeVirtPolicy) or policy.tokens in ("off", mode):
            continue
        if policy.tokens == "auto" or MODES.index(policy.tokens) < MODES.index(mode):
            held[name] = replace(policy, tokens=mode)
    return replace(instance, dialects={**instance.dialects, **held}) if held else instance
