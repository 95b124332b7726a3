"""Google's metadata server: the tree in all its forms, waiting for changes, service accounts.

Specified by contract 4. The tree is one document, whose parts are served at the paths that they
have in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus

import msgspec

from emulator.core.message import Reply
from emulator.core.policy import DEFAULTS, Area, Closed, ForbidHeader, RequireHeader, Rule
from emulator.core.refusal import Refusal
from emulator.dialects.base import Dialect, Hint, Leaf, View
from emulator.dialects.gce import guest
from emulator.dialects.gce.accounts import AccessTokenDocument, IdentityDocument
from emulator.dialects.gce.events import events
from emulator.dialects.gce.facts import Facts, attributes, facts, subject
from emulator.dialects.gce.pages import TEXT, GcePages
from emulator.dialects.gce.rules import mistakes
from emulator.dialects.gce.section import Gce, GcePolicy
from emulator.model.accounts import GoogleAccount
from emulator.model.events import moment
from emulator.model.instance import Instance

_ROOT = "/computeMetadata"
_TREE = f"{_ROOT}/v1"
_ACCOUNTS = f"{_TREE}/instance/service-accounts"

_HEADERS = (
    ("Metadata-Flavor", "Google"),
    ("Server", "Metadata Server for VM"),
    ("X-XSS-Protection", "0"),
    ("X-Frame-Options", "SAMEORIGIN"),
)
_RULES: tuple[Rule, ...] = (
    ForbidHeader("X-Forwarded-For"),
    RequireHeader("Metadata-Flavor", "Google", instead=("X-Google-Metadata-Request", "True")),
)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Error {status} ({phrase})</title>
<p><b>{status}.</b> {why}</p>
</html>
"""
_WHY = {
    Refusal.HEADER_MISSING: 'Missing required header "Metadata-Flavor": "Google"',
    Refusal.FORWARDED: "Requests with X-Forwarded-For are not answered.",
    Refusal.BAD_QUERY: "A parameter of the query has a value that is not allowed.",
    Refusal.FORBIDDEN: "Guest attributes endpoint access is disabled.",
    Refusal.THROTTLED: "Guest attributes are written too often.",
    Refusal.BAD_BODY: "This is no guest attribute, or one too many, or too long.",
}
_STATUSES = {Refusal.HEADER_MISSING: 403, Refusal.UNAVAILABLE: 503}


def _refusals() -> Mapping[Refusal, Reply]:
    """Give Google's pages: HTML, whose text nobody parses."""
    found = {}
    for refusal, default in DEFAULTS.items():
        status = _STATUSES.get(refusal, default.status)
        phrase = HTTPStatus(status).phrase
        page = _PAGE.format(status=status, phrase=phrase, why=_WHY.get(refusal, phrase))
        found[refusal] = Reply(status, page.encode(), "text/html; charset=UTF-8", default.headers)
    return found


_REFUSALS = _refusals()


def _areas(policy: GcePolicy) -> tuple[Area, ...]:
    closed = () if policy.guest_attributes == "on" else (Closed(Refusal.FORBIDDEN),)
    return (
        Area(name="gce-root", refusals=_REFUSALS, headers=_HEADERS),
        Area(
            name="gce",
            prefixes=(_ROOT,),
            rules=_RULES,
            refusals=_REFUSALS,
            headers=_HEADERS,
        ),
        Area(
            name="gce-guest-attributes",
            prefixes=(guest.PREFIX,),
            rules=(*_RULES, *closed),
            methods=("DELETE", "GET", "HEAD", "PUT"),
            refusals=_REFUSALS,
            headers=_HEADERS,
            writes=guest.write,
        ),
    )


def _settle(policy: GcePolicy, _names: frozenset[str], instance: Instance) -> GcePolicy:
    """Let the attribute choose for who did not, as Google does."""
    if policy.guest_attributes != "auto":
        return policy
    section = instance.sections.get("gce") or Gce()
    assert isinstance(section, Gce)  # noqa: S101 - so its dialect declares it
    said = section.project_attributes | attributes(instance, section)
    on = said.get(guest.SWITCH, "").upper() == "TRUE"
    return msgspec.structs.replace(policy, guest_attributes="on" if on else "off")


def _leaves(view: View) -> Iterator[Leaf]:
    section = view.section or Gce()
    known = facts(view.instance, section)
    named = list(_named(known))
    yield Leaf(paths=("/",), area="gce-root", body=b"computeMetadata/\n", type=TEXT, joins=True)
    yield Leaf(paths=(_ROOT,), area="gce", body=b"v1/\n", type=TEXT)
    yield from _accounts(view.instance, section, known)
    yield Leaf(
        paths=(_TREE,),
        area="gce",
        template="tree.json",
        pages=GcePages,
        variables={
            "facts": known,
            "section": section,
            "accounts": named,
            "events": events(view.occurrences),
            "written": (
                guest.nested(view.written) if view.policy.guest_attributes == "on" else None
            ),
        },
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
        paths = [f"{_ACCOUNTS}/{name}" for name in (*account.aliases, email)]
        identity = IdentityDocument(account, subject(email), machine, section.licenses)
        for name, live in (("token", AccessTokenDocument(account)), ("identity", identity)):
            yield Leaf(paths=tuple(f"{path}/{name}" for path in paths), area="gce", live=live)


DIALECT = Dialect(
    name="gce",
    summary="Google's metadata server: the whole tree, waiting for changes, service accounts",
    areas=_areas,
    leaves=_leaves,
    policy=GcePolicy,
    section=Gce,
    settle=_settle,
    rules=mistakes,
    hint=Hint(product="Google Compute Engine"),
    example=f"{_TREE}/instance/hostname",
)
