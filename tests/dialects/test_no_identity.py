"""A machine that is not Azure's says that it has no identity, and nothing else of Azure's.

The one exception to contract 0.1-1: Azure's default credential chain asks on every machine.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Request
from emulator.dialects import no_identity
from emulator.dialects.base import IDENTITY_NOT_FOUND
from tests.support.guest import COMPLETE, Guest, header

SAID = {"Metadata": "true"}
TOKEN = "/metadata/identity/oauth2/token"
QUERY = "?api-version=2018-02-01&resource=https://management.azure.com/"
NO_IDENTITY = {"error": "invalid_request", "error_description": "Identity not found"}
OTHERS = {
    "default": Guest("name: web-1\n"),
    **{
        name: Guest(f"{COMPLETE}dialects: [{name}]\n")
        for name in ("ec2", "gce", "kubevirt", "nocloud", "openstack", "ec2, gce, nocloud")
    },
}
on_others = pytest.mark.parametrize("guest", OTHERS.values(), ids=OTHERS)


@on_others
@pytest.mark.parametrize(
    "path",
    [
        "/metadata/identity",
        "/metadata/identity/",
        "/metadata/identity/info?api-version=2018-02-01",
        TOKEN,
        f"{TOKEN}{QUERY}",
        f"{TOKEN}/{QUERY}",
        f"{TOKEN}?resource=a&resource=b",
        "/metadata//identity/x/y/z",
    ],
)
@pytest.mark.parametrize("value", ["true", "True"])
def test_who_asks_for_an_identity_hears_that_there_is_none(
    guest: Guest, path: str, value: str
) -> None:
    for method in ("GET", "HEAD"):
        answer = guest.ask(path, method, {"Metadata": value})
        assert (answer.status, json.loads(answer.body)) == (400, NO_IDENTITY)
        assert header(answer, "Content-Type") == "application/json"
    forwarded = guest.ask(path, headers={**SAID, "X-Forwarded-For": "10.0.0.9"})
    assert json.loads(forwarded.body) == NO_IDENTITY


def test_to_another_s_name_the_dialect_is_off() -> None:
    guest = OTHERS["default"]
    request = Request("GET", TOKEN, "", HTTPHeaders(SAID), foreign=True)
    answer = guest.snapshot.decide(request, guest).answer
    assert isinstance(answer, Answer)
    assert answer.status == 404


@on_others
@pytest.mark.parametrize("headers", [{}, {"Metadata": "1"}, {"Metadata-Flavor": "Google"}])
@pytest.mark.parametrize("path", ["/metadata/identity", f"{TOKEN}{QUERY}"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_who_does_not_say_what_it_wants_finds_nothing(
    guest: Guest, path: str, headers: dict[str, str], method: str
) -> None:
    assert guest.ask(path, method, headers).status == 404


@on_others
def test_other_methods_are_405(guest: Guest) -> None:
    answer = guest.ask(TOKEN + QUERY, "POST", SAID)
    assert (answer.status, header(answer, "Allow")) == (405, "GET, HEAD")


@on_others
@pytest.mark.parametrize(
    "path",
    [
        "/metadata",
        "/metadata/",
        "/metadata/versions",
        "/metadata/instance",
        "/metadata/instance?api-version=2021-02-01",
        "/metadata/instance/compute/userData?api-version=2021-01-01&format=text",
        "/metadata/attested/document?api-version=2021-02-01",
        "/metadata/scheduledevents?api-version=2020-07-01",
        "/metadata/loadbalancer?api-version=2020-10-01",
        "/metadata/identities",
        "/metadata/v1.json",
        "/metadata/v1/",
    ],
)
@pytest.mark.parametrize("headers", [{}, SAID, {**SAID, "X-Forwarded-For": "10.0.0.9"}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_of_azures_is_found(
    guest: Guest, path: str, headers: dict[str, str], method: str
) -> None:
    assert guest.ask(path, method, headers).status == 404


@on_others
@pytest.mark.parametrize(
    "path", ["/", "/?comp=versions", "/machine?comp=goalstate", "/machine?comp=health"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_no_wireserver(guest: Guest, path: str, method: str) -> None:
    body = b"<Health><State>Ready</State></Health>"
    assert guest.ask(f"wireserver:{path}", method, SAID, body).status == 404
    assert guest.reported == ("", "")


def test_azures_machine_has_its_own_words() -> None:
    guest = Guest("name: web-1\ndialects: [azure, openstack]\n")
    assert guest.ask(TOKEN + QUERY, headers=SAID).status == 200
    assert guest.ask("/metadata/identity/x", headers=SAID).status == 404
    assert json.loads(guest.ask(TOKEN + QUERY).body)["error"] == "bad_request_102"
    without = Guest("name: web-1\ndialects: [azure]\nazure: {identities: []}\n")
    answer = without.ask(TOKEN + QUERY, headers=SAID)
    assert (answer.status, json.loads(answer.body)) == (400, NO_IDENTITY)


def test_all_say_the_same_words_which_stand_in_one_place() -> None:
    without = Guest("name: web-1\ndialects: [azure]\nazure: {identities: []}\n")
    bodies = {guest.ask(TOKEN + QUERY, headers=SAID).body for guest in (without, *OTHERS.values())}
    assert [json.loads(body)["error_description"] for body in bodies] == [IDENTITY_NOT_FOUND]
    sources = Path(no_identity.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if IDENTITY_NOT_FOUND in path.read_text()] == ["base.py"]


@given(
    rest=st.lists(st.sampled_from(["oauth2", "token", "info", "..", "", "x"])).map("/".join),
    guest=st.sampled_from(list(OTHERS.values())),
)
def test_below_the_prefix_all_is_the_same(rest: str, guest: Guest) -> None:
    inside = 0
    for part in rest.split("/"):
        inside += {"..": -1, "": 0}.get(part, 1)
        assume(inside >= 0)  # it stays below the prefix
    assert guest.ask(f"/metadata/identity/{rest}", headers=SAID).status == 400
    assert guest.ask(f"/metadata/identity/{rest}").status == 404
