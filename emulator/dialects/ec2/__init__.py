"""EC2's metadata service: the tree, session tokens, roles, signed identity (contract 3).

Every version serves the tree of the newest one, as an alias: versions add what old clients do not
ask for.
"""

from __future__ import annotations

import msgspec

from emulator.core.message import Reply
from emulator.core.policy import Area, Closed, ForbidHeader, Refusal, Session
from emulator.core.session_endpoint import METHODS
from emulator.core.tree import Listing
from emulator.dialects.base import Dialect, Hint, later
from emulator.dialects.ec2.names import DATED, META, PLAIN, ROLES, ROOT, TOKEN
from emulator.dialects.ec2.pages import PAGES, page
from emulator.dialects.ec2.section import Ec2, Ec2Policy
from emulator.model.instance import Instance

_HEADERS = (("Server", "EC2ws"), ("Accept-Ranges", "none"))


def _areas(policy: Ec2Policy) -> tuple[Area, ...]:
    closed = () if policy.endpoint else (Closed(),)
    # What nobody has settled is not known to break who has no token.
    session = Session.OPTIONAL if policy.tokens == "auto" else Session(policy.tokens)
    # As EC2 has it: not even a page.
    silent = {**PAGES, Refusal.METHOD: Reply(405, b"", PLAIN)}
    # As if there were nothing: only who would get a token there is told that it is forbidden.
    absent = {**PAGES, Refusal.METHOD: page(404)}
    return (
        Area(name="ec2-root", rules=closed, refusals=PAGES, headers=_HEADERS),
        Area(
            name="ec2",
            prefixes=(ROOT, *(f"/{version}" for version in DATED)),
            rules=closed,
            session=session,
            refusals=PAGES,
            headers=_HEADERS,
        ),
        Area(
            name="ec2-roles",
            prefixes=(ROLES,),
            rules=closed,
            session=session,
            refusals=PAGES,
            headers=_HEADERS,
            document="credentials",
            missing=Refusal.UNKNOWN_IDENTITY,
        ),
        Area(
            name="ec2-token",
            document="session",
            # cloud-init up to 24.4 gives the boot up at the first 503 (contract 0.1-6).
            unlimited=True,
            rules=(*closed, ForbidHeader("X-Forwarded-For")),
            methods=METHODS,
            refusals=silent,
            headers=_HEADERS,
        ),
        Area(
            name="ec2-token-elsewhere",
            document="session",
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


DIALECT = Dialect(
    name="ec2",
    summary="EC2's metadata service with session tokens, for cloud-init, AWS SDKs and agents",
    areas=_areas,
    leaves=later("emulator.dialects.ec2.documents", "leaves"),
    listings=(
        Listing(root=ROOT, area="ec2", type=PLAIN, bare=(ROOT,), labelled=("public-keys",)),
    ),
    policy=Ec2Policy,
    section=Ec2,
    hint=Hint(uuid_prefix="ec2"),
    replaces=("ec2_v1",),
    settle=_settle,
    rules=later("emulator.dialects.ec2.rules", "mistakes"),
    aliases=dict.fromkeys(DATED, "latest"),
    dated=True,
    tokens_at=TOKEN,
    example=f"{META}/",
    extra=(f"{META}/",),
    extra_area="ec2",
)
