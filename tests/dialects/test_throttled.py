"""How each dialect refuses a machine that asks too much: as its clients bear it (contract 9.2)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Request
from emulator.core.policy import CompiledArea, Refusal
from emulator.core.session import TTL_HEADER
from emulator.core.snapshot import Decision
from emulator.dialects import DIALECTS
from tests.support.guest import COMPLETE, Guest, header

ALL = f"""\
{COMPLETE}
dialects:
  azure: {{}}
  ec2: {{tokens: optional}}
  gce: {{guest_attributes: enabled}}
  kubevirt: {{tokens: optional}}
  nocloud: {{}}
  openstack: {{}}
"""
NOVA = f"{COMPLETE}\ndialects: [openstack]\n"
GOOGLE = {"Metadata-Flavor": "Google"}
AZURE = {"Metadata": "true"}
SECONDS = {TTL_HEADER: "60"}


def decided(
    path: str, headers: dict[str, str], method: str = "GET", description: str = ALL
) -> Decision:
    guest = Guest(description)
    path, _, query = path.partition("?")
    request = Request(method, path, query, HTTPHeaders(headers), excessive=True)
    return guest.snapshot.decide(request, guest)


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/openstack/latest/meta_data.json", {}, 503, b"503 Service Unavailable\n"),
        ("/openstack/latest/nothing", {}, 503, b"503 Service Unavailable\n"),
        ("/nocloud/user-data", {}, 503, b"503 Service Unavailable\n"),
        ("/latest/meta-data/instance-id", {}, 503, b"<title>503 - Service Unavailable</title>"),
        ("/computeMetadata/v1/instance/id", GOOGLE, 503, b"rate of requests is too high"),
        ("/metadata/instance", AZURE, 429, b'{"error":"Too Many Requests"}'),
        ("/metadata/identity/oauth2/token", AZURE, 429, b'"error":"too_many_requests"'),
        ("/metadata/scheduledevents", AZURE, 429, b'{"error":"Too Many Requests"}'),
        ("wireserver:/machine", {}, 503, b"503 Service Unavailable\n"),
        ("/v1/token", AZURE, 429, b"rate limit exceeded\n"),
        ("/v1/identity", AZURE, 429, b"rate limit exceeded\n"),
        ("/imds/v1/hostname", AZURE, 429, b"rate limit exceeded\n"),
    ],
)
def test_each_has_its_words(path: str, headers: dict[str, str], status: int, body: bytes) -> None:
    decision = decided(path, headers)
    assert decision.refusal == Refusal.THROTTLED
    assert isinstance(decision.answer, Answer)
    assert (decision.answer.status, header(decision.answer, "Retry-After")) == (status, "1")
    assert body in decision.answer.body


def test_kubevirt_imds_is_followed_to_the_byte() -> None:
    decision = decided("/v1/token", AZURE)
    assert isinstance(decision.answer, Answer)
    assert decision.answer.body == b"rate limit exceeded\n"
    assert header(decision.answer, "Content-Type") == "text/plain; charset=utf-8"
    assert header(decision.answer, "X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    ("path", "headers", "method", "refusal"),
    [
        ("/healthz", {}, "GET", None),
        ("/latest/api/token", SECONDS, "PUT", None),
        ("/v1/api/token", SECONDS | AZURE, "PUT", None),
        # What comes before it in contract 9.3 has its own answer.
        ("/hetzner/v1/metadata", {}, "GET", Refusal.NOT_FOUND),
        ("/v1/token", {}, "GET", Refusal.HEADER_MISSING),
        ("/computeMetadata/v1/instance/id", {}, "GET", Refusal.HEADER_MISSING),
        ("/openstack/latest/meta_data.json", {}, "POST", Refusal.METHOD),
        ("/latest/meta-data/", {"X-aws-ec2-metadata-token": "x"}, "GET", Refusal.SESSION_INVALID),
    ],
)
def test_these_are_answered_as_ever(
    path: str, headers: dict[str, str], method: str, refusal: Refusal | None
) -> None:
    assert decided(path, headers, method).refusal == refusal


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        # No session is given: SDKs must be told so, at any rate.
        ("/latest/api/token", SECONDS, "PUT", 404),
        ("/metadata/identity/oauth2/token", AZURE, "GET", 400),
        ("/computeMetadata/v1/", GOOGLE, "GET", 404),
    ],
)
def test_a_machine_without_a_dialect_is_told_so(
    path: str, headers: dict[str, str], method: str, status: int
) -> None:
    answer = decided(path, headers, method, NOVA).answer
    assert isinstance(answer, Answer)
    assert answer.status == status


def test_only_what_must_be_is_without_a_limit() -> None:
    found = {
        area.name
        for dialect in DIALECTS.values()
        for area in dialect.areas(dialect.policy())
        if area.unlimited
    }
    assert found == {"ec2-token", "kubevirt-session", "health", "no-identity"}


@pytest.mark.parametrize("name", DIALECTS)
def test_every_refusal_says_when_to_come_back(name: str) -> None:
    dialect = DIALECTS[name]
    for area in dialect.areas(dialect.policy()):
        answer = CompiledArea(area, name).refusals[Refusal.THROTTLED]
        assert answer.status in {429, 503}
        assert header(answer, "Retry-After") == "1"
        # The other way round it is an ordinary request.
        usual = Request("GET", "/x", "", HTTPHeaders())
        assert CompiledArea(replace(area, rules=()), name).gate(usual) != Refusal.THROTTLED
