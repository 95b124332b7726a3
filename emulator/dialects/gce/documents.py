"""The documents of Google's tree; loaded for machines that have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.core.policy import Document
from emulator.dialects.base import Leaf, View
from emulator.dialects.gce import guest
from emulator.dialects.gce.accounts import AccessTokenDocument, IdentityDocument
from emulator.dialects.gce.events import events
from emulator.dialects.gce.facts import Facts, facts, subject
from emulator.dialects.gce.names import ACCOUNTS, ROOT
from emulator.dialects.gce.pages import TEXT, GcePages
from emulator.dialects.gce.section import Gce
from emulator.model.accounts import GoogleAccount
from emulator.model.events import moment
from emulator.model.instance import Instance

_PARTS: Mapping[str, Document] = {
    "v1/instance/attributes/shutdown-script": "user-data",
    "v1/instance/attributes/ssh-keys": "keys",
    "v1/instance/attributes/startup-script": "user-data",
    "v1/instance/attributes/user-data": "user-data",
    "v1/instance/maintenance-event": "events",
    "v1/instance/network-interfaces": "network",
    "v1/instance/preempted": "events",
    "v1/instance/service-accounts": "meta-data",
    "v1/instance/shutdown-details": "events",
    "v1/instance/upcoming-maintenance": "events",
    "v1/project/attributes/ssh-keys": "keys",
    "v1/project/attributes/startup-script": "user-data",
}


def leaves(view: View) -> Iterator[Leaf]:
    """Give the documents of a machine."""
    section = view.section or Gce()
    known = facts(view.instance, section)
    named = list(_named(known))
    yield Leaf(paths=("/",), area="gce-root", body=b"computeMetadata/\n", type=TEXT, joins=True)
    yield from _accounts(view.instance, section, known)
    yield Leaf(
        paths=(ROOT,),
        area="gce",
        template="tree.json",
        pages=GcePages,
        variables={
            "facts": known,
            "section": section,
            "accounts": named,
            "events": events(view.occurrences),
            "written": (
                guest.nested(view.written) if view.policy.guest_attributes == "enabled" else None
            ),
        },
        parts=_PARTS,
    )


def _named(known: Facts) -> Iterator[tuple[str, GoogleAccount]]:
    """Give the accounts by all their names, addresses last."""
    for account in known.accounts.values():
        for alias in account.aliases:
            yield alias, account
    yield from known.accounts.items()


def _accounts(instance: Instance, section: Gce, known: Facts) -> Iterator[Leaf]:
    """Give what is computed for each account."""
    machine = {
        "instance_creation_timestamp": int(moment(instance.launched)[1]),
        "instance_id": str(known.id),
        "instance_name": instance.name,
        "project_id": known.project_id,
        "project_number": known.project_number,
        "zone": instance.placement.zone,
    }
    for email, account in known.accounts.items():
        identity = IdentityDocument(account, subject(email), machine, section.licenses)
        names = (*account.aliases, email)
        yield Leaf(
            paths=tuple(f"{ACCOUNTS}/{name}/token" for name in names),
            area="gce-accounts",
            live=AccessTokenDocument(account),
        )
        yield Leaf(
            paths=tuple(f"{ACCOUNTS}/{name}/identity" for name in names),
            area="gce-identity",
            live=identity,
        )
