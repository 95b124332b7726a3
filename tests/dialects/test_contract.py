"""One suite over all dialects, by itself: what every dialect owes its guests.

It reads the table, so a new dialect is held to it without a line here. A dialect states its
exceptions as data: which methods an area takes, which headers it asks for.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator import sources
from emulator.core.credentials import AccessToken
from emulator.core.message import Answer, Request
from emulator.core.policy import DOCUMENTS, CompiledArea, Refusal, RequireHeader, Session
from emulator.core.session import TOKEN_HEADER, TTL_HEADER
from emulator.dialects import DIALECTS, VOCABULARY
from emulator.dialects.base import content_type, eras, required
from tests.support.guest import COMPLETE, Guest, header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.core.policy import Area
    from emulator.model.accounts import Account

NO_HEADERS = HTTPHeaders()
ROOT = Path(__file__).parents[2]
CHOSEN = [name for name, dialect in DIALECTS.items() if not dialect.always]
VERSION = re.compile(r"[0-9]+\.[0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}|latest")
AREAS = [
    pytest.param(area, dialect.name, id=f"{dialect.name}:{area.name}")
    for dialect in DIALECTS.values()
    for area in dialect.areas(dialect.policy())
]
HEADERS = {
    (dialect.name, area.name): {
        rule.name: rule.value for rule in area.rules if isinstance(rule, RequireHeader)
    }
    for dialect in DIALECTS.values()
    for area in dialect.areas(dialect.policy())
}


FIXTURES = [
    instance
    for path in sorted((ROOT / "fixtures/instances").glob("*.yaml"))
    for instance in sources.load(str(path), VOCABULARY)
]
REPLACED: dict[str, set[str]] = {
    name: {other for other, dialect in DIALECTS.items() if name in dialect.replaces}
    for name in DIALECTS
}
LISTED = {name: dialect.listings for name, dialect in DIALECTS.items() if dialect.listings}


class Place(NamedTuple):
    """A path that a guest can get, the area it is in, and what it is to be asked with."""

    path: str
    area: CompiledArea
    headers: dict[str, str]

    @property
    def query(self) -> str:
        """The query with its question mark, if there must be one."""
        return f"?{self.area.area.query}" if self.area.area.query else ""


def places(guest: Guest) -> Iterator[Place]:
    layout = guest.snapshot.layout
    for path, slot in layout.slots.items():
        area = layout.areas[slot]
        headers = HEADERS[area.dialect, area.name]
        if area.session is Session.REQUIRED:
            headers = headers | guest.in_session()
        if "GET" in area.methods:
            yield Place(path, area, headers)


def is_listing(place: Place) -> bool:
    return any(
        listing.area == place.area.name
        and f"{place.path}/".startswith(f"{listing.root.rstrip('/')}/")
        for listing in LISTED.get(place.area.dialect, ())
    )


class Supplied(Guest):
    """A guest whose accounts get their tokens, whoever gives them to it."""

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        return AccessToken(f"token of {scope}", self.fake.now, self.fake.now + 3600)


GUESTS = {
    **{name: Guest(f"{COMPLETE}dialects: [{name}]\n") for name in CHOSEN},
    "all": Guest(f"{COMPLETE}dialects: [{', '.join(CHOSEN)}]\n"),
    "default": Guest("name: web-1\n"),
    **{f"fixture {instance.name}": Supplied(instance) for instance in FIXTURES},
}
every_guest = pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS)


@pytest.mark.parametrize(("area", "dialect"), AREAS)
def test_every_refusal_has_an_answer(area: Area, dialect: str) -> None:
    compiled = CompiledArea(area, dialect)
    for refusal in Refusal:
        answer = compiled.refusals[refusal]
        assert 400 <= answer.status < 600
        assert header(answer, "Content-Type")
        assert "tornado" not in answer.head.decode().lower()
        if answer.status == 405:
            assert header(answer, "Allow") == ", ".join(area.methods)


def test_areas_have_names_of_their_own() -> None:
    for dialect in DIALECTS.values():
        names = [area.name for area in dialect.areas(dialect.policy())]
        assert len(names) == len(set(names))


@every_guest
def test_every_listed_entry_resolves_with_and_without_slash(guest: Guest) -> None:
    known = list(places(guest))
    above = {path[: path.rindex("/")] or "/" for path, *_ in known}
    listings = [place for place in known if place.path in above and is_listing(place)]
    for path, _, headers in listings:
        for line in guest.ask(path, headers=headers).body.decode().splitlines():
            entry = f"{path.rstrip('/')}/{line.rstrip('/').partition('=')[0]}"
            assert guest.ask(entry, headers=headers).status == 200, f"{path} lists {line}"
            assert guest.ask(f"{entry}/", headers=headers).status == 200, f"{path} lists {line}"
    expected = {name for area in guest.snapshot.layout.areas if (name := area.dialect) in LISTED}
    assert expected == {place.area.dialect for place in listings}


@every_guest
def test_a_final_slash_changes_nothing(guest: Guest) -> None:
    for place in places(guest):
        slashed = f"{place.path}/{place.query}"
        assert guest.ask(slashed, headers=place.headers).status == 200, slashed


@every_guest
def test_head_is_get_where_an_area_takes_both(guest: Guest) -> None:
    for place in places(guest):
        path, area, headers = place
        got = guest.ask(path + place.query, headers=headers)
        asked = guest.ask(path + place.query, "HEAD", headers)
        if "HEAD" in area.methods:
            assert (asked.status, len(asked.body)) == (got.status, len(got.body)), path
            assert header(asked, "Content-Type") == header(got, "Content-Type"), path
        else:
            assert asked == area.refusals[Refusal.METHOD], path


@every_guest
def test_what_there_is_answers_get(guest: Guest) -> None:
    for place in places(guest):
        path = place.path + place.query
        answer = guest.ask(path, headers=place.headers)
        assert answer.status == 200, path
        assert header(answer, "Content-Type"), path
        assert "tornado" not in answer.head.decode().lower()
        if header(answer, "Content-Type").startswith("application/json"):
            json.loads(answer.body)


@every_guest
def test_a_header_that_an_area_asks_for_is_needed(guest: Guest) -> None:
    for path, area, headers in places(guest):
        if set(headers) - {TOKEN_HEADER}:
            assert guest.ask(path) == area.refusals[Refusal.HEADER_MISSING], path
        elif headers:
            assert guest.ask(path) == area.refusals[Refusal.SESSION_MISSING], path


@every_guest
def test_a_page_whose_name_leads_here_reads_nothing(guest: Guest) -> None:
    for path, area, headers in places(guest):
        request = Request("GET", path, "", HTTPHeaders(headers), foreign=True)
        found = guest.snapshot.decide(request, guest)
        if area.name == "health":
            assert found.refusal is None
        else:
            assert found.refusal is Refusal.FOREIGN_HOST, path
            assert found.answer == area.refusals[Refusal.FOREIGN_HOST], path
            assert area.refusals[Refusal.FOREIGN_HOST].status == 403, path


@every_guest
def test_a_session_that_is_none_is_refused(guest: Guest) -> None:
    for path, area, headers in places(guest):
        if area.session is not None:
            bad = headers | {TOKEN_HEADER: "x" * 64}
            assert guest.ask(path, headers=bad) == area.refusals[Refusal.SESSION_INVALID], path


@every_guest
def test_each_version_only_adds(guest: Guest) -> None:
    names: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    keys: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path, _, headers in places(guest):
        parts = path.split("/")
        dated = [index for index, part in enumerate(parts) if VERSION.fullmatch(part)]
        if not dated:
            continue
        before, version = "/".join(parts[: dated[0]]), parts[dated[0]]
        below = "/".join(parts[dated[0] + 1 :])
        names[before][version].add(below)
        if below.endswith(".json"):
            document = json.loads(guest.ask(path, headers=headers).body)
            keys[f"{before}/*/{below}"][version] = set(document)
    for versions in (*names.values(), *keys.values()):
        ordered = [versions[version] for version in sorted(versions)]
        assert all(old <= new for old, new in pairwise(ordered))


@every_guest
def test_the_example_answers(guest: Guest) -> None:
    for name, chosen in guest.instance.dialects.items():
        dialect = DIALECTS[name]
        assert dialect.example
        policy = dialect.settle(chosen, frozenset(guest.instance.dialects), guest.instance)
        lines = [line[1:-1] for line in required(dialect, policy, "http://server")]
        headers = dict(line.split(": ", 1) for line in lines)
        if TOKEN_HEADER in headers:
            assert f"{TTL_HEADER}: 60' http://server{dialect.tokens_at})" in headers[TOKEN_HEADER]
            headers |= guest.in_session()
        if not REPLACED[name] & set(guest.instance.dialects):
            assert guest.ask(dialect.example, headers=headers).status == 200


@every_guest
def test_dialects_that_are_off_are_not_found(guest: Guest) -> None:
    on = {area.dialect for area in guest.snapshot.layout.areas}
    everything = GUESTS["all"]
    shared = {path for path, *_ in places(guest)}
    prefixes = tuple(guest.snapshot.layout.prefixes)
    for path, area, headers in places(everything):
        inside = any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
        if area.dialect not in on and path not in shared and not inside:
            assert guest.ask(path, headers=headers).status == 404, path


@pytest.mark.parametrize("name", CHOSEN)
def test_a_dialect_has_its_page_or_a_part_of_that_of_the_one_it_comes_with(name: str) -> None:
    pages = [name, *(other for other, dialect in DIALECTS.items() if name in dialect.brings)]
    texts = [(ROOT / f"docs/dialects/{page}.md") for page in pages]
    assert any(name in text.read_text(encoding="utf-8") for text in texts if text.exists())


def test_the_sample_answers_every_path_that_the_complete_machine_has() -> None:
    """``serve`` without arguments shows everything; numbers of files, keys and cards differ."""
    sample = GUESTS["fixture sample"]
    shown = {re.sub("[0-9]+", "N", path) for path, *_ in places(sample)}
    canonical = sample.snapshot.layout.canonical
    for path, area, _ in places(GUESTS["openstack"]):
        # Nova's other name for EC2's tree is not served where EC2's own is.
        if not f"{path}/".startswith("/ec2/"):
            assert re.sub("[0-9]+", "N", canonical(path)) in shown, area.name
    for name in ("kernel-id", "ramdisk-id"):
        assert sample.status(f"/latest/meta-data/{name}") == 200


@every_guest
def test_every_document_has_a_class_and_what_is_not_there_has_none(guest: Guest) -> None:
    layout = guest.snapshot.layout
    for path, slot in layout.slots.items():
        document = layout.documents[slot]
        assert document in DOCUMENTS
        assert document != "none"
        headers = HTTPHeaders(HEADERS[layout.areas[slot].dialect, layout.areas[slot].name])
        for request in (Request("GET", path, "", headers), Request("GET", path, "", NO_HEADERS)):
            assert guest.snapshot.decide(request, guest).document == document, path
        absent = guest.snapshot.decide(Request("GET", f"{path}/no/such", "", headers), guest)
        told = absent.area.missing is Refusal.UNKNOWN_IDENTITY
        assert absent.document == (absent.area.document if told else "none")
        assert not absent.known
    for place in places(guest):
        if is_listing(place) and place.path in {p.rpartition("/")[0] for p in layout.slots}:
            assert layout.documents[layout.slots[place.path]] == "listing", place.path


# ----------------------------------------------------------------- whatever a guest may think of

PATHS = sorted({path for guest in GUESTS.values() for path, *_ in places(guest)})
SEGMENTS = sorted({segment for path in PATHS for segment in path.split("/")} | {"", ".", ".."})
NAMES = sorted({name for headers in HEADERS.values() for name in headers} | {"X-Forwarded-For"})
targets = st.one_of(
    st.sampled_from(PATHS),
    st.text(),
    st.lists(st.sampled_from(SEGMENTS) | st.text(max_size=8)).map(lambda p: "/" + "/".join(p)),
    st.tuples(st.sampled_from(PATHS), st.text(max_size=8)).map("".join),
    st.tuples(st.sampled_from(PATHS), st.text(max_size=20)).map("?".join),
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.strip)
header_lines = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["true", "True", "1"]) | header_values
)
methods = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X"]
)


@given(
    guest=st.sampled_from(list(GUESTS.values())),
    target=targets,
    method=methods,
    headers=header_lines,
    body=st.binary(max_size=1100),
)
def test_no_input_redirects_or_breaks_it(
    guest: Guest, target: str, method: str, headers: dict[str, str], body: bytes
) -> None:
    guest.posted = b""
    answer = guest.ask(target, method, headers, body)
    assert isinstance(answer, Answer)
    assert answer.status in {200, 400, 401, 403, 404, 405, 409}
    assert header(answer, "Location") == ""
    assert header(answer, "Content-Type")


# -------------------------------------------------------------------- what dialects are made with


def test_versions_are_grouped_by_the_change_before_them() -> None:
    versions = ("1.0", "2007-01-19", "2007-03-01", "latest")
    assert eras(versions, ("1.0", "2007-03-01")) == {
        "1.0": ("1.0", "2007-01-19"),
        "2007-03-01": ("2007-03-01", "latest"),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.json", "application/json"), ("json", "text/plain; charset=UTF-8")],
)
def test_a_document_s_name_tells_its_type(name: str, expected: str) -> None:
    assert content_type(name) == expected
