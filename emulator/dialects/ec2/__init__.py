"""EC2's metadata service: the tree, session tokens, roles, signed identity (contract 3).

Every version serves the tree of the newest one, as an alias: versions add what old clients do not
ask for.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from emulator.core.message import Reply, Request, Services
from emulator.core.policy import Area, Closed, ForbidHeader, Refusal, Session
from emulator.core.session_endpoint import METHODS, SessionEndpoint
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Hint, Leaf, View, key_label
from emulator.dialects.ec2.events import events
from emulator.dialects.ec2.facts import Facts, facts
from emulator.dialects.ec2.pages import PAGES, page
from emulator.dialects.ec2.roles import InfoDocument, RoleDocument
from emulator.dialects.ec2.rules import mistakes
from emulator.dialects.ec2.section import Ec2, Ec2Policy
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "latest",
)
_DATED = VERSIONS[:-1]

_ROOT = "/latest"
_META = f"{_ROOT}/meta-data"
_IDENTITY = f"{_ROOT}/dynamic/instance-identity"
_TOKEN = f"{_ROOT}/api/token"

_PLAIN = "text/plain"
_BYTES = "application/octet-stream"
_HEADERS = (("Server", "EC2ws"), ("Accept-Ranges", "none"))

# The identity role that every EC2 machine has beside its own.
_OWN_ROLE = AwsCredentials()


def _areas(policy: Ec2Policy) -> tuple[Area, ...]:
    closed = () if policy.endpoint else (Closed(),)
    # As EC2 has it: not even a page.
    silent = {**PAGES, Refusal.METHOD: Reply(405, b"", _PLAIN)}
    # As if there were nothing: only who would get a token there is told that it is forbidden.
    absent = {**PAGES, Refusal.METHOD: page(404)}
    return (
        Area(name="ec2-root", rules=closed, refusals=PAGES, headers=_HEADERS),
        Area(
            name="ec2",
            prefixes=(_ROOT, *(f"/{version}" for version in _DATED)),
            rules=closed,
            session=Session.REQUIRED if policy.tokens == "required" else Session.OPTIONAL,
            refusals=PAGES,
            headers=_HEADERS,
        ),
        Area(
            name="ec2-token",
            rules=(*closed, ForbidHeader("X-Forwarded-For")),
            methods=METHODS,
            refusals=silent,
            headers=_HEADERS,
        ),
        Area(
            name="ec2-token-elsewhere",
            rules=closed,
            methods=("PUT",),
            refusals=absent,
            headers=_HEADERS,
        ),
    )


def _settle(policy: Ec2Policy, names: frozenset[str], _instance: Instance) -> Ec2Policy:
    """Choose for who did not: OpenStack's clients walk this tree too, and know no tokens."""
    if policy.tokens != "auto":
        return policy
    return msgspec.structs.replace(
        policy, tokens="optional" if "openstack" in names else "required"
    )


def _leaves(view: View) -> Iterator[Leaf]:
    instance, policy = view.instance, view.policy
    section = view.section or Ec2()
    known = facts(instance, section)
    yield Leaf(
        paths=("/",),
        area="ec2-root",
        template="versions",
        variables={"versions": VERSIONS},
        type=_PLAIN,
        listed=False,
        joins=True,
    )
    yield Leaf(
        paths=(_META,),
        area="ec2",
        template="meta-data",
        tree=True,
        type=_PLAIN,
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
    )
    yield from _roles(section, known)
    yield from _dynamic(section, known)
    if instance.user_data is not None and instance.user_data.data:
        yield Leaf(
            paths=(f"{_ROOT}/user-data",), area="ec2", body=instance.user_data.data, type=_BYTES
        )
    if not policy.tags:
        # EC2's own oddity: the category is gone, its directory answers with nothing.
        yield Leaf(paths=(f"{_META}/tags/instance",), area="ec2", body=b"", listed=False)
    yield Leaf(
        paths=(_TOKEN,),
        area="ec2-token",
        live=SessionEndpoint(policy.hop_limit),
        listed=False,
    )
    yield Leaf(
        paths=tuple(f"/{version}/api/token" for version in _DATED),
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
        yield _live(f"{_META}/iam/info", InfoDocument(wanted, profile))
        yield _live(f"{_META}/iam/security-credentials/{wanted.role}", RoleDocument(wanted))
    own = f"{_META}/identity-credentials/ec2"
    account = known.account_id
    yield _live(f"{own}/info", InfoDocument(_OWN_ROLE, (("AccountId", account),)))
    yield _live(f"{own}/security-credentials/ec2-instance", RoleDocument(_OWN_ROLE, account))


def _live(path: str, live: RoleDocument | InfoDocument) -> Leaf:
    return Leaf(paths=(path,), area="ec2", live=live, type=_PLAIN)


def _dynamic(section: Ec2, known: Facts) -> Iterator[Leaf]:
    monitoring = b"enabled" if section.monitoring else b"disabled"
    path = f"{_ROOT}/dynamic/fws/instance-monitoring"
    yield Leaf(paths=(path,), area="ec2", body=monitoring, type=_PLAIN)
    document = Leaf(
        paths=(f"{_IDENTITY}/document",),
        area="ec2",
        template="document",
        type=_PLAIN,
        variables={"facts": known, "section": section},
    )
    yield document
    for form in ("pkcs7", "rsa2048", "signature"):
        yield msgspec.structs.replace(document, paths=(f"{_IDENTITY}/{form}",), seal=form)


def _as_text(associations: dict[str, dict[str, object]]) -> dict[str, str]:
    return {key: msgspec.json.encode(value).decode() for key, value in associations.items()}


def _forbidden(_request: Request, _services: Services) -> Refusal:
    return Refusal.FORBIDDEN


DIALECT = Dialect(
    name="ec2",
    summary="EC2's metadata service with session tokens, for cloud-init, AWS SDKs and agents",
    areas=_areas,
    leaves=_leaves,
    listings=(
        Listing(root=_ROOT, area="ec2", type=_PLAIN, bare=(_ROOT,), labelled=("public-keys",)),
    ),
    policy=Ec2Policy,
    section=Ec2,
    hint=Hint(uuid_prefix="ec2"),
    replaces=("ec2_v1",),
    settle=_settle,
    rules=mistakes,
    aliases=dict.fromkeys(_DATED, "latest"),
    dated=True,
    tokens_at=_TOKEN,
    example=f"{_META}/",
    extra=(f"{_META}/",),
    extra_area="ec2",
)
