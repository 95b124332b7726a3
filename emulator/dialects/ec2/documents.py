"""The documents of EC2's tree; loaded for machines that have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from emulator.core.message import Request, Services
from emulator.core.policy import Document, Refusal
from emulator.core.session_endpoint import SessionEndpoint
from emulator.dialects.base import Leaf, View, key_label
from emulator.dialects.ec2.events import events
from emulator.dialects.ec2.facts import Facts, facts
from emulator.dialects.ec2.names import DATED, IDENTITY, META, PLAIN, ROLES, ROOT, TOKEN, VERSIONS
from emulator.dialects.ec2.roles import InfoDocument, RoleDocument
from emulator.dialects.ec2.section import Ec2
from emulator.model.credentials import AwsCredentials

_BYTES = "application/octet-stream"

# The identity role that every EC2 machine has beside its own.
_OWN_ROLE = AwsCredentials()

_PARTS: Mapping[str, Document] = {
    "autoscaling": "events",
    "events": "events",
    "managed-ssh-keys": "keys",
    "network": "network",
    "public-keys": "keys",
    "spot": "events",
}


def leaves(view: View) -> Iterator[Leaf]:
    """Give the documents of a machine."""
    instance, policy = view.instance, view.policy
    section = view.section or Ec2()
    known = facts(instance, section)
    yield Leaf(
        paths=("/",),
        area="ec2-root",
        template="versions",
        variables={"versions": VERSIONS},
        type=PLAIN,
        listed=False,
        joins=True,
        document="listing",
    )
    yield Leaf(
        paths=(META,),
        area="ec2",
        template="meta-data",
        tree=True,
        type=PLAIN,
        variables={
            "facts": known,
            "section": section,
            "events": events(view.occurrences, section),
            "associations": {
                "gpus": _as_text(section.elastic_gpus),
                "inference": _as_text(section.elastic_inference),
            },
            "keys": [
                (key_label(key.name), key.key) for key in instance.public_keys if key.type == "ssh"
            ],
        },
        parts=_PARTS,
    )
    yield from _roles(section, known)
    yield from _dynamic(section, known)
    if instance.user_data is not None and instance.user_data.data:
        yield Leaf(
            paths=(f"{ROOT}/user-data",),
            area="ec2",
            body=instance.user_data.data,
            type=_BYTES,
            document="user-data",
        )
    if not policy.tags:
        # EC2's own oddity: the category is gone, its directory answers with nothing.
        path = f"{META}/tags/instance"
        yield Leaf(paths=(path,), area="ec2", body=b"", listed=False, document="listing")
    yield Leaf(
        paths=(TOKEN,),
        area="ec2-token",
        live=SessionEndpoint(policy.hop_limit),
        listed=False,
    )
    yield Leaf(
        paths=tuple(f"/{version}/api/token" for version in DATED),
        area="ec2-token-elsewhere",
        live=_forbidden,
        listed=False,
    )


def _roles(section: Ec2, known: Facts) -> Iterator[Leaf]:
    """Give what tells of the machine's role, and of the identity that it has without one."""
    wanted = section.credentials
    if wanted.role:
        profile = (
            ("InstanceProfileArn", known.profile_arn),
            ("InstanceProfileId", known.profile_id),
        )
        yield _live(f"{META}/iam/info", InfoDocument(wanted, profile), "identity")
        role = RoleDocument(wanted)
        yield Leaf(paths=(f"{ROLES}/{wanted.role}",), area="ec2-roles", live=role, type=PLAIN)
    own = f"{META}/identity-credentials/ec2"
    account = known.account_id
    yield _live(f"{own}/info", InfoDocument(_OWN_ROLE, (("AccountId", account),)), "identity")
    keys = RoleDocument(_OWN_ROLE, account)
    yield _live(f"{own}/security-credentials/ec2-instance", keys, "credentials")


def _live(path: str, live: RoleDocument | InfoDocument, document: Document) -> Leaf:
    return Leaf(paths=(path,), area="ec2", live=live, type=PLAIN, document=document)


def _dynamic(section: Ec2, known: Facts) -> Iterator[Leaf]:
    monitoring = b"enabled" if section.monitoring else b"disabled"
    path = f"{ROOT}/dynamic/fws/instance-monitoring"
    yield Leaf(paths=(path,), area="ec2", body=monitoring, type=PLAIN)
    document = Leaf(
        paths=(f"{IDENTITY}/document",),
        area="ec2",
        template="document",
        type=PLAIN,
        variables={"facts": known, "section": section},
        document="identity",
    )
    yield document
    for form in ("pkcs7", "rsa2048", "signature"):
        yield msgspec.structs.replace(document, paths=(f"{IDENTITY}/{form}",), seal=form)


def _as_text(associations: dict[str, dict[str, object]]) -> dict[str, str]:
    return {key: msgspec.json.encode(value).decode() for key, value in associations.items()}


def _forbidden(_request: Request, _services: Services) -> Refusal:
    return Refusal.FORBIDDEN
