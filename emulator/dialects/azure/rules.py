"""The mistakes that only Azure's dialect can find in a description."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.dialects.azure.section import Azure
from emulator.model import accounts
from emulator.model.instance import Instance
from emulator.model.mistake import Mistake, again


def mistakes(instance: Instance) -> Iterator[Mistake]:
    """Give the mistakes in the ``azure:`` section of ``instance``."""
    section = instance.sections.get("azure")
    if not isinstance(section, Azure):
        return
    audiences = {token.audience for token in instance.tokens}
    ids: list[tuple[str, str]] = []
    for index, identity in enumerate(section.identities):
        path = f"azure.identities[{index}]"
        yield from accounts.mistakes(identity, audiences, path)
        if identity.provider == "federated":
            if not identity.client_id:
                yield Mistake(f"{path}.client_id", "nothing", "the application's id")
            if not (identity.endpoint or identity.tenant_id or section.tenant_id):
                yield Mistake(f"{path}.tenant_id", "nothing", "the tenant's id, or an endpoint")
        ids.append((f"{path}.resource_id", identity.resource_id.lower()))
    yield from again(ids, "each resource once, and one identity without any")
