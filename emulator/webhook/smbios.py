"""What a VM's guest is to find in its SMBIOS: who it is, and which cloud it is on.

KubeVirt lets one VM have its own UUID, serial and chassis asset tag. What its owner has set is
never changed; a warning then says what the guest will not find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID, uuid5

import msgspec

from emulator.dialects import DIALECTS, VOCABULARY
from emulator.dialects.base import Dialect, Hint
from emulator.model.derive import NAMESPACE, looks_like_ec2
from emulator.model.document import quoted
from emulator.sources.admission import Described
from emulator.sources.annotations import PREFIX
from emulator.webhook.objects import text
from emulator.webhook.verdict import Cause, Object

UUID_FIELD = "spec.domain.firmware.uuid"
SERIAL_FIELD = "spec.domain.firmware.serial"
ASSET_FIELD = "spec.domain.chassis.asset"

Fields = tuple[tuple[str, str], ...]
"""Texts to be set, each with its dotted path in the VM's template."""

# As libvirt reads it, to which KubeVirt hands it unread.
_UUID = re.compile("[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A VM as its owner has it.

    ``noted`` is the annotation ``uuid``, empty without one. ``named`` says whether the VM's name
    is known; if not, ``request`` is what is unique. ``machine`` names the VirtualMachine that
    would have to be changed, empty if it is not there yet. ``fill`` is false where nothing can be
    set any more.
    """

    described: Described
    spec: Object
    place: str
    namespace: str
    noted: str
    named: bool
    request: str
    machine: str
    fill: bool

    @property
    def given(self) -> str:
        """The UUID in its firmware, empty without one."""
        return text(self.spec, *UUID_FIELD.split(".")[1:])


class Smbios(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set, and what there is to say; ``uuid`` is the one that the guest will have.

    ``lasting`` are those ``fields`` that its VirtualMachine must have, not each instance.
    """

    uuid: str = ""
    fields: Fields = ()
    lasting: Fields = ()
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()


def persona(described: Described) -> tuple[str, Hint]:
    """Give the dialect that the guest is to find by its SMBIOS, and how; empty if by none.

    It is the persona's unless its owner has chosen other dialects: then the first of these that
    can be found so.
    """
    chosen = described.instance.dialects
    for name in (*VOCABULARY.personas[described.wishes.persona], *chosen):
        hint = _settable(DIALECTS[name])
        if name in chosen and hint != Hint():
            return name, hint
    return "", Hint()


def smbios(owned: Owned) -> Smbios:
    """Choose UUID, serial and asset tag."""
    if owned.given and not _UUID.fullmatch(owned.given):
        why = f"found {quoted(owned.given)}; allowed: a UUID"
        return Smbios(causes=(Cause(owned.place + UUID_FIELD, why),))
    dialect, hint = persona(owned.described)
    unasked = _unasked(owned, hint)
    if unasked:
        dialect, hint = "", Hint()
    uuid = str(UUID(owned.given or owned.noted or _derived(owned, hint)))
    causes = _unfit(owned, hint, uuid)
    if causes:
        return Smbios(causes=causes)
    by_uuid = bool(hint.uuid_prefix)
    wishes = {
        UUID_FIELD: uuid,
        # cloud-init up to 24.1 wants the serial of an identity told by its UUID to be the same.
        SERIAL_FIELD: hint.serial or (uuid if by_uuid else ""),
        ASSET_FIELD: hint.asset,
    }
    fields = tuple(
        (field, wish)
        for field, wish in wishes.items()
        if wish and not text(owned.spec, *field.split(".")[1:])
    )
    # KubeVirt fills in both when a VirtualMachine is made (pkg/virt-api: UUIDs since 1.6, serials
    # since 1.7 and in patches of 1.5), and its instance then has them as if they were its owner's.
    wanted = (UUID_FIELD, SERIAL_FIELD) if by_uuid or owned.noted else (SERIAL_FIELD,)
    return Smbios(
        uuid=uuid,
        fields=fields,
        lasting=tuple(one for one in fields if one[0] in wanted),
        warnings=(
            *unasked,
            *_foreign(owned, hint, uuid),
            *_apart(owned, uuid),
            *_kept(owned, dialect, wishes),
        ),
    )


def _settable(dialect: Dialect) -> Hint:
    return dialect.hint if dialect.settable is None else dialect.settable


def _derived(owned: Owned, hint: Hint) -> str:
    """Give the UUID of a VM to which nobody gave one."""
    uuid = owned.described.instance.uuid
    if not owned.named:
        uuid = _unlike_ec2(owned.request)  # its name is yet to be made
    return hint.uuid_prefix + uuid[len(hint.uuid_prefix) :]


def _unlike_ec2(seed: str) -> str:
    """Make a UUID of ``seed`` by which no guest looks for EC2."""
    uuid = str(uuid5(NAMESPACE, f"admission/{seed}"))
    return _unlike_ec2(uuid) if looks_like_ec2(uuid) else uuid


def _unasked(owned: Owned, hint: Hint) -> tuple[str, ...]:
    """Warn that guests will not find EC2, where its owner wants the dialect and no persona.

    Its SDKs ask whatever the SMBIOS says, so a VM that has another UUID already may have it.
    """
    uuid = owned.given or owned.noted
    wanted = owned.described.wishes.persona == "aws" or not hint.uuid_prefix
    if wanted or not uuid or looks_like_ec2(str(UUID(uuid))):
        return ()
    where = f"{owned.place}{UUID_FIELD} does not begin with {hint.uuid_prefix}"
    why = f"SDKs find EC2 here, cloud-init does not; {PREFIX}persona: aws says how to change it"
    return (f"{where}: {why}",)


def _unfit(owned: Owned, hint: Hint, uuid: str) -> tuple[Cause, ...]:
    """Refuse a UUID by which the guest would not find the cloud that is told by it."""
    late = not owned.given and not owned.fill  # KubeVirt chooses one, if it has not already
    if not hint.uuid_prefix or (looks_like_ec2(uuid) and not late):
        return ()
    field, found = f"{owned.place}{UUID_FIELD}", quoted(owned.given)
    if late:
        found = "nothing"
    elif not owned.given:
        field, found = f"{owned.place}metadata.annotations[{PREFIX}uuid]", quoted(owned.noted)
    fit = _derived(owned, hint)
    why = f"a UUID that begins with {hint.uuid_prefix}, by which guests find EC2, such as {fit}"
    return (Cause(field, f"found {found}; allowed: {why}{_command(owned, fit)}"),)


def _command(owned: Owned, uuid: str) -> str:
    """Say how to change a VirtualMachine that is there: KubeVirt keeps the UUID it began with."""
    if not owned.machine:
        return ""
    firmware = f'{{"uuid":"{uuid}","serial":"{uuid}"}}'
    patch = f'{{"spec":{{"template":{{"spec":{{"domain":{{"firmware":{firmware}}}}}}}}}}}'
    return (
        f": kubectl -n {owned.namespace} patch vm {owned.machine} --type merge -p '{patch}'"
        ", and start it anew; or make it anew"
    )


def _foreign(owned: Owned, hint: Hint, uuid: str) -> Iterator[str]:
    """Warn of a UUID by which guests look for EC2 too, though the VM has none of it."""
    served = hint.uuid_prefix or "ec2" in owned.described.instance.dialects
    if looks_like_ec2(uuid) and not served:
        yield (
            f"{owned.place}{UUID_FIELD} {uuid} looks like EC2's, for which cloud-init 24.2+ then "
            f"looks too; set another one, such as {_unlike_ec2(uuid)}"
        )


def _apart(owned: Owned, uuid: str) -> Iterator[str]:
    """Warn of a machine that is served another UUID than its guest sees."""
    if owned.given and owned.noted and str(UUID(owned.noted)) != uuid:
        yield (
            f"{PREFIX}uuid is not {owned.place}{UUID_FIELD}, which guests see in their SMBIOS: "
            "leave the annotation out, or make them equal"
        )


def _kept(owned: Owned, dialect: str, wishes: dict[str, str]) -> Iterator[str]:
    """Warn of what the owner has set otherwise than guests look for."""
    for field in (SERIAL_FIELD, ASSET_FIELD):
        wish, present = wishes[field], text(owned.spec, *field.split(".")[1:])
        if wish and present and present.lower() != wish.lower():
            yield (
                f"{owned.place}{field} is {quoted(present)} and stays, but guests find {dialect} "
                f"by {quoted(wish)} there: set that"
            )
