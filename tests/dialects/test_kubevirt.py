"""The KubeVirt-native dialect: kubevirt-imds byte for byte, and what was added to it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Outcome, Reply, Request, ServiceToken, build
from emulator.core.paths import split_target
from emulator.core.policy import Refusal
from emulator.dialects.base import Policy
from emulator.dialects.kubevirt import KubeVirtPolicy
from emulator.errors import StartError, TokenUnavailable
from emulator.model.derive import complete
from emulator.model.instance import (
    Bond,
    Content,
    Instance,
    Interface,
    Peer,
    Placement,
    PublicKey,
    Route,
    Token,
    Vlan,
)
from emulator.render import Renderer, Templates
from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from emulator.core.credentials import RoleCredentials
    from emulator.core.message import Services
    from emulator.core.session import Sessions
    from emulator.core.snapshot import Decision, Snapshot
    from emulator.model.credentials import AwsCredentials
    from emulator.ports import Ports

HEADER = {"Metadata": "true"}


def mark(form: str, document: bytes) -> bytes:
    """Stand in for a signature: say of what it is."""
    return form.encode() + b" of " + document


RENDERER = Renderer(Templates(), FakePorts().ports, mark)
ATTESTED = {f"/v1/identity/{name}" for name in ("document", "signature", "certificate")}

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO+zkzzxGb0FKfQ5Gd2xKcZ4Ut9GwEfl1iyTbqFTSWWw me"

FULL = Instance(
    name="web-1",
    namespace="shop",
    hostname="web-1.shop.example",
    uuid="0b1c6b3e-6f0e-4c39-9d1a-3f1f0c1a2b3c",
    service_account="web",
    project="p1",
    placement=Placement(region="eu-1", zone="eu-1b"),
    type="m1.small",
    image="debian-12",
    launch_index=2,
    public_keys=(
        PublicKey(name="me", key=SSH),
        PublicKey(name="you", key=SSH.replace(" me", " you")),
        PublicKey(name="win", key="-----BEGIN CERTIFICATE-----\n", type="x509"),
    ),
    tags={"app.kubernetes.io/name": "shop", "tier": 'a "b" <c>', "../up": "1", "a?b": "2"},
    meta={"owner": "jo", "50%": "3", "b#c": "4", "two\nlines": "5", "a//b": "6"},
    security_groups=("default", "web"),
    interfaces=(
        Interface(
            name="eth0",
            mac="02:00:00:00:00:01",
            mtu=1400,
            addresses=("10.0.0.5/24", "10.0.0.6/24", "fd00::5/64"),
            gateways=("fd00::1", "10.0.0.1"),
            routes=(Route(to="10.9.0.0/16", via="10.0.0.9", metric=5),),
            dns=("10.0.0.2", "fd00::2"),
            search=("shop.example",),
            public_addresses=("203.0.113.7", "2001:db8::7"),
        ),
        Interface(name="eth1", mac="02:00:00:00:00:02"),
        Interface(name="eth2", mac="02:00:00:00:00:03"),
        Interface(
            name="bond0",
            addresses=("slaac",),
            bond=Bond(links=("eth1", "eth2")),
            routes=(Route(to="fd01::/64", via="fd00::9"),),
        ),
        Interface(name="v5", vlan=Vlan(link="bond0", id=5), addresses=("dhcp4",)),
    ),
    user_data=Content(data=b"#!/bin/sh\n\x00\xff"),
    vendor_data=Content(data=b"#cloud-config\n"),
    tokens=(Token(), Token(audience="vault"), Token(audience="spire-server")),
    dialects={"kubevirt": KubeVirtPolicy()},
)

LEAST = Instance(name="vm", dialects={"kubevirt": KubeVirtPolicy()})


class Machine:
    """What live paths use, with a token that a test sets."""

    def __init__(self, tokens: dict[str, ServiceToken]) -> None:
        self.tokens = tokens

    @property
    def ports(self) -> Ports:
        return FakePorts().ports

    async def token(self, audience: str) -> ServiceToken | None:
        if not self.tokens:
            raise TokenUnavailable("no token")
        return self.tokens.get(audience)

    @property
    def sessions(self) -> Sessions:
        raise AssertionError

    async def credentials(self, wanted: AwsCredentials) -> RoleCredentials:
        raise AssertionError

    def password(self) -> bytes:
        raise AssertionError

    def set_password(self, ciphertext: bytes) -> None:
        raise AssertionError


TOKENS = {"": ServiceToken("h.c.s", 1_767_225_600.0), "vault": ServiceToken("opaque", None)}


def snapshot(instance: Instance) -> Snapshot:
    return RENDERER.snapshot(complete(instance))


def decide(
    served: Snapshot, target: str, method: str = "GET", headers: dict[str, str] = HEADER
) -> tuple[Decision, Request]:
    path, query = split_target(target)
    request = Request(method, path, query, HTTPHeaders(headers))
    return served.decide(request), request


def ask(
    served: Snapshot,
    target: str,
    method: str = "GET",
    headers: dict[str, str] = HEADER,
    tokens: dict[str, ServiceToken] = TOKENS,
) -> Answer:
    decision, request = decide(served, target, method, headers)
    if isinstance(decision.answer, Answer):
        return decision.answer
    reply = decision.answer(request, cast("Services", Machine(tokens)))
    if isinstance(reply, Awaitable):
        reply = asyncio.run(_finish(reply))
    assert isinstance(reply, Reply)
    return build(reply, decision.area.common)


async def _finish(reply: Awaitable[Outcome]) -> Outcome:
    return await reply


def header(answer: Answer, name: str) -> str | None:
    lines = answer.head.decode().split("\r\n")[1:]
    found = [line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")]
    assert len(found) < 2
    return found[0] if found else None


# For tests by hypothesis, which want no fixtures.
FULL_SNAPSHOT = snapshot(FULL)


@pytest.fixture
def full() -> Snapshot:
    return FULL_SNAPSHOT


@pytest.fixture(scope="module")
def least() -> Snapshot:
    return snapshot(LEAST)


TEXT = "text/plain; charset=utf-8"
NO_HEADER = b'{"error":"missing_header","message":"Metadata: true header is required"}\n'
DOCUMENT = (
    b'{"version":1,"namespace":"shop","vmName":"web-1","serviceAccountName":"web",'
    b'"uuid":"0b1c6b3e-6f0e-4c39-9d1a-3f1f0c1a2b3c"}\n'
)
FORWARDED = b'{"error":"forwarded_request","message":"X-Forwarded-For header is not allowed"}\n'


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "kind", "body"),
    [
        (
            "GET",
            "/v1/token",
            HEADER,
            200,
            "application/json",
            b'{"token":"h.c.s","expirationTimestamp":"2026-01-01T00:00:00Z"}\n',
        ),
        (
            "GET",
            "/v1/token/?audience=vault",
            HEADER,
            200,
            "application/json",
            b'{"token":"opaque","expirationTimestamp":"0001-01-01T00:00:00Z"}\n',
        ),
        (
            "GET",
            "/v1/identity",
            HEADER,
            200,
            "application/json",
            b'{"namespace":"shop","serviceAccountName":"web","vmName":"web-1"}\n',
        ),
        (
            "GET",
            "/v1/identity/document",
            HEADER,
            200,
            "application/json",
            DOCUMENT,
        ),
        ("GET", "/v1/identity/document", {}, 400, "application/json", NO_HEADER),
        ("GET", "/v1/identity/signature", {}, 400, "application/json", NO_HEADER),
        (
            "GET",
            "/v1/identity/signature",
            {**HEADER, "X-Forwarded-For": "10.0.0.1"},
            400,
            "application/json",
            FORWARDED,
        ),
        ("POST", "/v1/identity/signature", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("GET", "/v1/identity/nothing", HEADER, 404, TEXT, b"404 page not found\n"),
        ("GET", "/v1/token", {}, 400, "application/json", NO_HEADER),
        ("GET", "/v1/token", {"Metadata": "True"}, 400, "application/json", NO_HEADER),
        ("GET", "/v1/token", {"Metadata": ""}, 400, "application/json", NO_HEADER),
        ("GET", "/v1/nothing", {}, 400, "application/json", NO_HEADER),
        ("POST", "/v1/token", {}, 400, "application/json", NO_HEADER),
        ("GET", "/imds/v1/hostname", {}, 400, "application/json", NO_HEADER),
        ("HEAD", "/v1/token", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("POST", "/v1/token", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("HEAD", "/v1/identity", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("PUT", "/v1/identity", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("POST", "/v1/instance", HEADER, 405, TEXT, b"Method not allowed\n"),
        ("GET", "/v1/nothing", HEADER, 404, TEXT, b"404 page not found\n"),
        ("HEAD", "/v1/nothing", HEADER, 404, TEXT, b"404 page not found\n"),
        ("GET", "/v1", HEADER, 404, TEXT, b"404 page not found\n"),
        ("GET", "/imds", HEADER, 404, TEXT, b"404 page not found\n"),
        ("GET", "/imds/v1/nothing", HEADER, 404, TEXT, b"404 page not found\n"),
        (
            "GET",
            "/v1/token",
            {**HEADER, "X-Forwarded-For": "10.0.0.1"},
            400,
            "application/json",
            FORWARDED,
        ),
        ("GET", "/imds/v1", {**HEADER, "x-forwarded-for": ""}, 400, "application/json", FORWARDED),
        ("GET", "/healthz", {}, 200, "text/plain; charset=UTF-8", b"OK"),
    ],
)
def test_answers_are_those_of_kubevirt_imds(
    full: Snapshot,
    method: str,
    target: str,
    headers: dict[str, str],
    status: int,
    kind: str,
    body: bytes,
) -> None:
    answer = ask(full, target, method, headers)
    assert (answer.status, answer.body) == (status, body)
    assert header(answer, "Content-Type") == kind
    assert header(answer, "X-Content-Type-Options") == ("nosniff" if kind == TEXT else None)


def test_methods_that_are_allowed_are_named(full: Snapshot) -> None:
    assert header(ask(full, "/v1/token", "HEAD"), "Allow") == "GET"
    assert header(ask(full, "/v1/instance", "POST"), "Allow") == "GET, HEAD"


def test_a_token_that_cannot_be_had_is_the_areas_to_refuse(full: Snapshot) -> None:
    decision, _ = decide(full, "/v1/token")
    with pytest.raises(TokenUnavailable):
        ask(full, "/v1/token", tokens={})
    answer = decision.area.refusals[Refusal.UNAVAILABLE]
    assert (answer.status, header(answer, "Content-Type")) == (500, "application/json")
    assert answer.body == (
        b'{"error":"token_unavailable","message":"Failed to read ServiceAccount token"}\n'
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_signed_is_the_document_to_the_byte(full: Snapshot, method: str) -> None:
    document = ask(full, "/v1/identity/document", method)
    for form, kind in (
        ("signature", "text/plain; charset=UTF-8"),
        ("certificate", "application/pem-certificate-chain"),
    ):
        signed = ask(full, f"/v1/identity/{form}", method)
        assert signed.body == mark(form, document.body)
        assert header(signed, "Content-Type") == kind
        assert header(signed, "ETag") is None


def test_the_document_differs_with_each_thing_that_it_says(full: Snapshot) -> None:
    said = ask(full, "/v1/identity/document").body
    same = replace(FULL, tags={}, hostname="other", session_epoch=3, interfaces=())
    assert ask(snapshot(same), "/v1/identity/document").body == said
    for other in (
        replace(FULL, namespace="bank"),
        replace(FULL, name="web-2"),
        replace(FULL, service_account="bank"),
        replace(FULL, uuid="0b1c6b3e-6f0e-4c39-9d1a-3f1f0c1a2b3d"),
    ):
        assert ask(snapshot(other), "/v1/identity/document").body != said


def test_what_cannot_be_signed_is_the_areas_to_refuse() -> None:
    served = Renderer(Templates(), FakePorts().ports).snapshot(complete(FULL))
    decision, _ = decide(served, "/v1/identity/signature")
    with pytest.raises(StartError):
        ask(served, "/v1/identity/signature")
    answer = decision.area.refusals[Refusal.UNAVAILABLE]
    assert (answer.status, header(answer, "Content-Type")) == (500, "application/json")
    assert json.loads(answer.body)["error"] == "identity_unavailable"


def test_without_a_key_that_speaks_for_the_namespace_there_is_nothing_attested() -> None:
    asked: list[str] = []

    def attests(namespace: str) -> bool:
        asked.append(namespace)
        return namespace == "bank"

    renderer = Renderer(Templates(), FakePorts().ports, mark, attests)
    served = renderer.snapshot(complete(FULL))
    for path in ATTESTED:
        answer = ask(served, path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n")
        assert ask(served, path, headers={}).body == NO_HEADER
    assert ask(served, "/v1/identity").status == 200
    served = renderer.snapshot(complete(replace(FULL, namespace="bank")))
    assert {path: ask(served, path).status for path in ATTESTED} == dict.fromkeys(ATTESTED, 200)
    # Who has another dialect alone is not told of a certificate that does not matter to it.
    asked.clear()
    renderer.snapshot(complete(Instance(name="vm", dialects={"nocloud": Policy()})))
    assert not asked


def test_attested_documents_are_under_session_tokens_where_the_others_are() -> None:
    policy = KubeVirtPolicy(tokens="required")
    served = snapshot(replace(FULL, dialects={"kubevirt": policy}))
    assert {path: ask(served, path).status for path in ATTESTED} == dict.fromkeys(ATTESTED, 401)


def test_an_audience_that_is_not_offered_is_answered_with_those_that_are(full: Snapshot) -> None:
    answer = ask(full, "/v1/token?audience=mine")
    document = json.loads(answer.body)
    assert (answer.status, header(answer, "Content-Type")) == (404, "application/json")
    assert document["error"] == "unknown_audience"
    assert document["audiences"] == ["vault", "spire-server"]
    assert answer.body.endswith(b"}\n")
    assert b"mine" not in answer.body


@pytest.mark.parametrize(
    ("query", "token"),
    [
        ("", "h.c.s"),
        ("?audience=", "h.c.s"),
        ("?audience", "h.c.s"),
        ("?other=vault", "h.c.s"),
        ("?audience=vault&audience=x", "opaque"),
        ("?a=1&audience=%76ault", "opaque"),
    ],
)
def test_the_audience_is_read_as_go_reads_it(full: Snapshot, query: str, token: str) -> None:
    assert json.loads(ask(full, f"/v1/token{query}").body)["token"] == token


@given(st.text())
def test_any_audience_is_answered(audience: str) -> None:
    tokens = {"": TOKENS[""], audience: ServiceToken("t", None)}
    target = f"/v1/token?audience={quote(audience, safe='', errors='replace')}"
    assert json.loads(ask(FULL_SNAPSHOT, target, tokens=tokens).body)["token"] == "t"


@given(st.text())
def test_any_query_is_answered(query: str) -> None:
    assert ask(FULL_SNAPSHOT, f"/v1/token?{query}").status in {200, 404}


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (1_767_225_600.0, "2026-01-01T00:00:00Z"),
        (1.0, "1970-01-01T00:00:01Z"),
        (-5.0, "1969-12-31T23:59:55Z"),
        (-62_135_596_800.0, "0001-01-01T00:00:00Z"),
        (253_402_300_799.0, "9999-12-31T23:59:59Z"),
        (253_402_300_800.0, "0001-01-01T00:00:00Z"),
        (float(2**63), "0001-01-01T00:00:00Z"),
        (None, "0001-01-01T00:00:00Z"),
    ],
)
def test_the_end_of_a_token_reads_as_go_writes_it(
    full: Snapshot, expires: float | None, text: str
) -> None:
    answer = ask(full, "/v1/token", tokens={"": ServiceToken("t", expires)})
    assert answer.body == b'{"token":"t","expirationTimestamp":"%s"}\n' % text.encode()


@pytest.mark.parametrize("instance", [FULL, LEAST], ids=["full", "least"])
def test_the_instance_document_is_what_its_schema_says(instance: Instance) -> None:
    served = snapshot(instance)
    schema = document(served, "/v1/instance/schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    described = document(served, "/v1/instance")
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.validate(described, closed(schema), format_checker=checker)


def document(served: Snapshot, path: str) -> Any:
    answer = ask(served, path)
    assert header(answer, "Content-Type") == "application/json"
    assert answer.body.endswith(b"}\n")
    assert ask(served, path, "HEAD").body == answer.body
    return json.loads(answer.body)


def closed(schema: Any) -> Any:
    """Give ``schema`` without room for members that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        inner["additionalProperties"] = False
    return inner


def test_the_instance_document_holds_what_its_owner_wrote(full: Snapshot) -> None:
    found = document(full, "/v1/instance")
    assert found["vmName"] == "web-1"
    assert found["placement"] == {"region": "eu-1", "zone": "eu-1b"}
    assert found["tags"] == FULL.tags
    assert found["meta"] == FULL.meta
    assert found["publicKeys"][0] == {"name": "me", "type": "ssh", "key": SSH}
    assert found["audiences"] == ["vault", "spire-server"]
    assert found["dialects"] == ["kubevirt"]
    first, _, _, bond, vlan = found["interfaces"]
    assert first["routes"] == [{"metric": 5, "to": "10.9.0.0/16", "via": "10.0.0.9"}]
    assert first["mtu"] == 1400
    assert bond["bond"] == {"mode": "active-backup", "links": ["eth1", "eth2"]}
    assert bond["routes"] == [{"to": "fd01::/64", "via": "fd00::9"}]
    assert "mtu" not in bond
    assert vlan["vlan"] == {"id": 5, "link": "bond0"}
    assert vlan["mac"] == "02:00:00:00:00:02"


PLAIN = {
    "name": b"web-1",
    "namespace": b"shop",
    "service-account": b"web",
    "hostname": b"web-1.shop.example",
    "uuid": b"0b1c6b3e-6f0e-4c39-9d1a-3f1f0c1a2b3c",
    "project": b"p1",
    "region": b"eu-1",
    "zone": b"eu-1b",
    "type": b"m1.small",
    "image": b"debian-12",
    "launch-index": b"2",
    "ssh-key": SSH.encode(),
    "authorized-keys": f"{SSH}\n{SSH[:-3]} you".encode(),
    "user-data": b"#!/bin/sh\n\x00\xff",
    "vendor-data": b"#cloud-config\n",
    "tags/app.kubernetes.io/name": b"shop",
    "tags/tier": b'a "b" <c>',
    "meta/owner": b"jo",
    "ipv4/address": b"10.0.0.5",
    "ipv4/public": b"203.0.113.7",
    "ipv6/address": b"fd00::5",
    "ipv6/public": b"2001:db8::7",
    "interfaces/0/name": b"eth0",
    "interfaces/0/type": b"physical",
    "interfaces/0/mac": b"02:00:00:00:00:01",
    "interfaces/0/mtu": b"1400",
    "interfaces/0/addresses/0": b"10.0.0.5/24",
    "interfaces/0/addresses/1": b"10.0.0.6/24",
    "interfaces/0/addresses/2": b"fd00::5/64",
    "interfaces/0/dns/0": b"10.0.0.2",
    "interfaces/0/dns/1": b"fd00::2",
    "interfaces/0/search/0": b"shop.example",
    "interfaces/0/ipv4/address": b"10.0.0.5",
    "interfaces/0/ipv4/prefix-length": b"24",
    "interfaces/0/ipv4/gateway": b"10.0.0.1",
    "interfaces/0/ipv4/public": b"203.0.113.7",
    "interfaces/0/ipv6/address": b"fd00::5",
    "interfaces/0/ipv6/prefix-length": b"64",
    "interfaces/0/ipv6/gateway": b"fd00::1",
    "interfaces/0/ipv6/public": b"2001:db8::7",
    "interfaces/1/name": b"eth1",
    "interfaces/1/type": b"physical",
    "interfaces/1/mac": b"02:00:00:00:00:02",
    "interfaces/2/name": b"eth2",
    "interfaces/2/type": b"physical",
    "interfaces/2/mac": b"02:00:00:00:00:03",
    "interfaces/3/name": b"bond0",
    "interfaces/3/type": b"bond",
    "interfaces/3/mac": b"02:00:00:00:00:02",
    "interfaces/3/addresses/0": b"slaac",
    "interfaces/3/bond/mode": b"active-backup",
    "interfaces/3/bond/links/0": b"eth1",
    "interfaces/3/bond/links/1": b"eth2",
    "interfaces/4/name": b"v5",
    "interfaces/4/type": b"vlan",
    "interfaces/4/mac": b"02:00:00:00:00:02",
    "interfaces/4/addresses/0": b"dhcp4",
    "interfaces/4/vlan/id": b"5",
    "interfaces/4/vlan/link": b"bond0",
}


def crawl(served: Snapshot, path: str) -> dict[str, bytes]:
    """Follow the listings below ``path`` and give every leaf."""
    leaves: dict[str, bytes] = {}
    for entry in ask(served, path).body.decode().split("\n"):
        below = f"{path}/{entry}"
        answer = ask(served, below)
        assert answer.status == 200, below
        if entry.endswith("/"):
            leaves.update(crawl(served, below.rstrip("/")))
        else:
            assert ask(served, f"{below}/").body == answer.body
            leaves[below.removeprefix("/imds/v1/")] = answer.body
    return leaves


def test_the_plain_tree_is_what_its_listings_lead_to(full: Snapshot) -> None:
    assert crawl(full, "/imds/v1") == PLAIN


def test_what_is_not_described_is_absent(least: Snapshot) -> None:
    found = crawl(least, "/imds/v1")
    assert set(found) == {
        "name",
        "namespace",
        "service-account",
        "hostname",
        "uuid",
        "project",
        "region",
        "zone",
        "type",
        "image",
        "launch-index",
    }
    for missing in ("ssh-key", "user-data", "ipv4/public", "ipv4", "interfaces", "tags"):
        assert ask(least, f"/imds/v1/{missing}").status == 404


def test_an_empty_user_data_is_empty_not_absent() -> None:
    served = snapshot(Instance(name="vm", user_data=Content(), dialects=LEAST.dialects))
    answer = ask(served, "/imds/v1/user-data")
    assert (answer.status, answer.body) == (200, b"")


def test_systemd_imdsds_well_known_fields_parse(full: Snapshot) -> None:
    """Contract 8.1: addresses parse without a final newline, the others hold one line."""
    found = crawl(full, "/imds/v1")
    for path, body in found.items():
        if path.split("/")[-1] in {"address", "public", "gateway"}:
            assert str(ipaddress.ip_address(body.decode())) == body.decode()
    for key in ("hostname", "region", "zone", "ssh-key"):
        assert found[key]
        assert b"\n" not in found[key]


def test_addresses_that_a_machine_asks_from_stand_in_for_undescribed_ones() -> None:
    peer = Peer(addresses=("192.0.2.9",))
    served = snapshot(Instance(name="vm", peer=peer, dialects=LEAST.dialects))
    assert ask(served, "/imds/v1/ipv4/address").body == b"192.0.2.9"


def test_machines_without_the_dialect_see_none_of_it() -> None:
    served = snapshot(Instance(name="vm", dialects={"nocloud": Policy()}))
    for path in (*ATTESTED, "/v1/token", "/v1/identity", "/v1/instance", "/imds/v1/hostname"):
        assert ask(served, path, headers={}).status == 404


def test_the_documented_hwdb_entry_leads_to_values(full: Snapshot) -> None:
    page = (Path(__file__).parents[2] / "docs/dialects/kubevirt.md").read_text()
    settings = dict(re.findall(r"^ IMDS_([A-Z0-9_]+)=(.+)$", page, re.MULTILINE))
    base = settings["DATA_URL"].removeprefix("http://169.254.169.254")
    name, _, value = settings["EXTRA_HEADER"].partition(": ")
    keys = {key: path for key, path in settings.items() if key.startswith("KEY_")}
    assert len(keys) == 7
    for path in keys.values():
        assert ask(full, base + path, headers={name: value}).status == 200


def test_every_plain_text_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/dialects/kubevirt.md").read_text()
    table = page.partition("### Plain texts")[2].partition("## Refusals")[0]
    for path in PLAIN:
        parts = ["I" if part.isdecimal() else part for part in path.split("/")]
        shown = {"tags": "KEY", "meta": "KEY"}.get(parts[0], "/".join(parts[-1:]))
        listed = "/".join(parts[-2:]) if parts[-1] == "I" else shown
        assert re.search(rf"[`/]{re.escape(listed)}`", table), path


_KEYS = st.text(min_size=1, max_size=20) | st.text("ab/.%?", min_size=1, max_size=5)


@given(st.dictionaries(_KEYS, st.text(max_size=20), max_size=5))
def test_any_tags_leave_a_tree_in_which_all_that_is_listed_is_found(tags: dict[str, str]) -> None:
    served = snapshot(Instance(name="vm", tags=tags, dialects=LEAST.dialects))
    assert document(served, "/v1/instance")["tags"] == tags
    crawl(served, "/imds/v1")
