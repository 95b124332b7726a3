"""Google's metadata server: the tree in all its forms, waiting for changes, service accounts.

Specified by contract 4. The tree is one document, whose parts are served at the paths that they
have in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from emulator.core.message import Reply
from emulator.core.policy import DEFAULTS, Area, Closed, ForbidHeader, RequireHeader, Rule
from emulator.core.refusal import Refusal
from emulator.dialects.base import Dialect, Hint, later
from emulator.dialects.gce.names import ACCOUNTS, GUEST_ATTRIBUTES, ROOT, TREE
from emulator.dialects.gce.section import Gce, GcePolicy

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
    Refusal.FOREIGN_HOST: "The Host header names another server.",
    Refusal.BAD_QUERY: "A parameter of the query has a value that is not allowed.",
    Refusal.FORBIDDEN: "Guest attributes endpoint access is disabled.",
    Refusal.THROTTLED: "The rate of requests is too high.",
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
    closed = () if policy.guest_attributes == "enabled" else (Closed(Refusal.FORBIDDEN),)
    return (
        Area(name="gce-root", refusals=_REFUSALS, headers=_HEADERS, document="listing"),
        Area(
            name="gce",
            prefixes=(ROOT,),
            rules=_RULES,
            refusals=_REFUSALS,
            headers=_HEADERS,
        ),
        Area(
            name="gce-accounts",
            prefixes=(ACCOUNTS,),
            rules=_RULES,
            refusals=_REFUSALS,
            headers=_HEADERS,
            document="token",
            missing=Refusal.UNKNOWN_IDENTITY,
        ),
        Area(
            name="gce-identity",
            document="identity",
            rules=_RULES,
            refusals=_REFUSALS,
            headers=_HEADERS,
            query="audience=https://web.example",
        ),
        Area(
            name="gce-guest-attributes",
            prefixes=(GUEST_ATTRIBUTES,),
            rules=(*_RULES, *closed),
            methods=("DELETE", "GET", "HEAD", "PUT"),
            document="attributes",
            refusals=_REFUSALS,
            headers=_HEADERS,
            writes=later("emulator.dialects.gce.guest", "write"),
        ),
    )


DIALECT = Dialect(
    name="gce",
    summary="Google's metadata server: the whole tree, waiting for changes, service accounts",
    areas=_areas,
    leaves=later("emulator.dialects.gce.documents", "leaves"),
    policy=GcePolicy,
    section=Gce,
    settle=later("emulator.dialects.gce.attributes", "settle"),
    rules=later("emulator.dialects.gce.rules", "mistakes"),
    written=True,
    hosts=("metadata.google.internal", "metadata"),
    hint=Hint(product="Google Compute Engine"),
    settable=Hint(serial="GoogleCloud-KubeVirt"),
    example=f"{TREE}/instance/hostname",
)
