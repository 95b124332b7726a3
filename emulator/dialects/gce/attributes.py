"""The attributes of a machine: which text counts where several have one name, and what it sets."""

from __future__ import annotations

import re
from base64 import b64encode

from msgspec.structs import replace

from emulator.dialects.gce.names import KEY
from emulator.dialects.gce.section import Gce, GcePolicy
from emulator.model.instance import Content, Instance

_KEY = re.compile(KEY)
_SWITCH = "enable-guest-attributes"


def attributes(instance: Instance, section: Gce) -> dict[str, str]:
    """Give the machine's attributes: what the section says goes before what is made of others."""
    found = {name: text for name, text in instance.meta.items() if _KEY.fullmatch(name)}
    keys = [key.key for key in instance.public_keys if key.type == "ssh"]
    if keys:
        found["ssh-keys"] = "\n".join(f"{section.ssh_user}:{key}" for key in keys)
    if instance.user_data is not None:
        found |= _user_data(instance.user_data)
    found |= section.attributes
    return dict(sorted(found.items()))


def settle(policy: GcePolicy, _names: frozenset[str], instance: Instance) -> GcePolicy:
    """Let the attribute choose for who did not, as Google does: the machine's, else its project's.

    Asked of every machine that has this dialect, so the module loads no more than it must.
    """
    if policy.guest_attributes != "auto":
        return policy
    section = instance.sections.get("gce") or Gce()
    assert isinstance(section, Gce)  # noqa: S101 - so its dialect declares it
    said = section.project_attributes | attributes(instance, section)
    on = said.get(_SWITCH, "").upper() == "TRUE"
    return replace(policy, guest_attributes="enabled" if on else "disabled")


def _user_data(content: Content) -> dict[str, str]:
    """Give user data as an attribute, which is text: anything else is base64 and said to be."""
    try:
        return {"user-data": content.data.decode()}
    except UnicodeDecodeError:
        encoded = b64encode(content.data).decode()
        return {"user-data": encoded, "user-data-encoding": "base64"}
