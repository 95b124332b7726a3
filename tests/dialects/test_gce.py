"""Google's dialect: the tree in all its forms, accounts, guest attributes, events (contract 4)."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64decode
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import jwt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from emulator.core.credentials import AccessToken
from emulator.core.message import Answer, Outcome, Reply, Request, ServiceToken, Wait
from emulator.core.paths import split_target
from emulator.core.refusal import Refusal
from emulator.core.timeline import Occurrence
from emulator.core.written import MOST_CHARACTERS
from emulator.credentials import AccessTokens
from emulator.dialects import DIALECTS
from emulator.dialects.gce import rules
from emulator.dialects.gce.accounts import AccessTokenDocument
from emulator.dialects.gce.events import events
from emulator.dialects.gce.pages import GcePages, _camel
from emulator.dialects.gce.query import Query
from emulator.dialects.gce.section import Gce
from emulator.errors import ConfigError, CredentialsUnavailable, TokenUnavailable
from emulator.model.accounts import Account, GoogleAccount
from emulator.model.events import Event
from emulator.runtime.tasks import spawn
from emulator.tokens import documents
from emulator.tokens.documents import JWKS_PATH
from tests.support.guest import CERTIFICATE, COMPLETE, ED25519, RSA, Guest, header, machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from emulator.model.instance import Instance

TREE = "/computeMetadata/v1"
FLAVOR = {"Metadata-Flavor": "Google"}
ACCOUNT = "instance/service-accounts/default"
WRITTEN = "instance/guest-attributes"

MINIMAL = "name: web-1\ndialects: [gce]\n"
OPEN = "name: web-1\ndialects: {gce: {guest_attributes: enabled}}\n"
FULL = f"""{COMPLETE}
dialects: {{gce: {{guest_attributes: enabled}}}}
launched: "2026-12-01T10:00:00Z"
gce:
  id: 1234567890123456789
  project_id: shop-prod
  numeric_project_id: 987654321
  description: A machine that sells
  cpu_platform: Intel Ice Lake
  network: shop-net
  network_tags: [front, http-server]
  licenses: ["5543610867827062957", "42"]
  disks:
    - {{device_name: boot}}
    - {{device_name: data, interface: NVME, mode: READ_ONLY, type: LOCAL-SSD}}
  scheduling: {{automatic_restart: false, on_host_maintenance: TERMINATE, preemptible: true}}
  ssh_user: ada
  attributes: {{purpose: of its own, startup-script: "#!/bin/sh\\n"}}
  project_attributes: {{enable-oslogin: "TRUE"}}
  partner_attributes: {{some-partner: {{a-key: a value}}}}
  service_accounts:
    - {{email: web@shop-prod.iam.gserviceaccount.com, aliases: [front], scopes: [one, two]}}
    - {{aliases: [second-one]}}
  remaining_cpu_time: 3600
  drift_token: "17"
  universe_domain: example.com
"""
COMPUTED = re.compile("instance/service-accounts/[^/]+/(token|identity)")
SECOND = "987654321-account1@developer.gserviceaccount.com"


def ask(guest: Guest, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """Ask for ``path`` below the tree's root as Google's clients do."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return guest.ask(f"{TREE}/{path}", method, FLAVOR | named, body)


def text(guest: Guest, path: str) -> str:
    answer = ask(guest, path)
    assert answer.status == 200, path
    return answer.body.decode()


def loaded(guest: Guest, path: str) -> Any:
    answer = ask(guest, path)
    assert answer.status == 200, path
    assert header(answer, "Content-Type") == "application/json", path
    return json.loads(answer.body)


def put(guest: Guest, name: str, body: bytes = b"x", method: str = "PUT") -> int:
    return ask(guest, f"{WRITTEN}/{name}", method, body).status


def outcome(guest: Guest, path: str) -> Outcome:
    """Give what the dialect says of ``path``, before the server makes something of it."""
    where, query = split_target(f"{TREE}/{path}")
    request = Request("GET", where, query, HTTPHeaders(FLAVOR))
    decision = guest.snapshot.decide(request, guest)
    assert not isinstance(decision.answer, Answer)
    found: Any = decision.answer(request, guest)
    assert isinstance(found, Answer | Wait | Refusal)
    return found


def walk(guest: Guest, path: str = "") -> dict[str, str]:
    """Follow every listing below ``path`` in its order; give each leaf's text."""
    found: dict[str, str] = {}
    listing = text(guest, path)
    assert listing == "" or listing.endswith("\n")
    for line in listing.splitlines():
        below = f"{path}{line}"
        if line.endswith("/"):
            assert ask(guest, below.rstrip("/")) == ask(guest, below)
            found |= walk(guest, below)
        elif COMPUTED.fullmatch(below):
            assert ask(guest, f"{below}?audience=me").status == 200, below
            found[below] = "computed"
        else:
            assert ask(guest, f"{below}/").status == 200, below
            found[below] = text(guest, below)
    return found


@pytest.fixture(scope="module")
def full() -> Guest:
    guest = Guest(FULL)
    assert guest.write("hostkeys/ssh-rsa", "AAAA") is None
    return guest


@pytest.fixture(scope="module")
def minimal() -> Guest:
    return Guest(MINIMAL)


# ------------------------------------------------------------------------------------- the tree


def test_a_machine_that_is_fully_described_has_all_of_the_tree(full: Guest) -> None:
    web = "web@shop-prod.iam.gserviceaccount.com"
    place, scope = "projects/987654321", "https://www.googleapis.com/auth/cloud-platform"
    first = {"aliases": "default\nfront", "email": web, "scopes": "one\ntwo"}
    second = {"aliases": "second-one", "email": SECOND, "scopes": scope}
    computed = {"identity": "computed", "token": "computed"}
    bare = {
        "dns-servers": "169.254.169.254",
        "mtu": "1460",
        "network": f"{place}/networks/shop-net",
    }
    expected = {
        "instance/attributes/note": "ünïcode",
        "instance/attributes/purpose": "of its own",
        "instance/attributes/ssh-keys": f"ada:{RSA}\nada:{ED25519}",
        "instance/attributes/startup-script": "#!/bin/sh\n",
        "instance/attributes/user-data": "#cloud-config\nhostname: kept\n",
        "instance/cpu-platform": "Intel Ice Lake",
        "instance/description": "A machine that sells",
        "instance/disks/0/device-name": "boot",
        "instance/disks/0/index": "0",
        "instance/disks/0/interface": "SCSI",
        "instance/disks/0/mode": "READ_WRITE",
        "instance/disks/0/type": "PERSISTENT-BALANCED",
        "instance/disks/1/device-name": "data",
        "instance/disks/1/index": "1",
        "instance/disks/1/interface": "NVME",
        "instance/disks/1/mode": "READ_ONLY",
        "instance/disks/1/type": "LOCAL-SSD",
        "instance/guest-attributes/hostkeys/ssh-rsa": "AAAA",
        "instance/hostname": "web-1.shop.example",
        "instance/id": "1234567890123456789",
        "instance/image": "debian-12",
        "instance/licenses/0/id": "5543610867827062957",
        "instance/licenses/1/id": "42",
        "instance/machine-type": f"{place}/machineTypes/m1.small",
        "instance/maintenance-event": "NONE",
        "instance/name": "web-1",
        "instance/network-interfaces/0/access-configs/0/external-ip": "203.0.113.10",
        "instance/network-interfaces/0/access-configs/0/type": "ONE_TO_ONE_NAT",
        "instance/network-interfaces/0/dns-servers": "192.0.2.53\n2001:db8::53",
        "instance/network-interfaces/0/gateway": "192.0.2.1",
        "instance/network-interfaces/0/gateway-ipv6": "2001:db8::1",
        "instance/network-interfaces/0/ip": "192.0.2.10",
        "instance/network-interfaces/0/ipv6s": "2001:db8::10",
        "instance/network-interfaces/0/mac": "52:54:00:00:00:01",
        "instance/network-interfaces/0/mtu": "1400",
        "instance/network-interfaces/0/network": f"{place}/networks/shop-net",
        "instance/network-interfaces/0/subnetmask": "255.255.255.0",
        **{
            f"instance/network-interfaces/{number}/{name}": value
            for number in (1, 2)
            for name, value in (bare | {"mac": f"52:54:00:00:00:0{number + 1}"}).items()
        },
        "instance/partner-attributes/some-partner/a-key": "a value",
        "instance/preempted": "FALSE",
        "instance/region": f"{place}/regions/here",
        "instance/remaining-cpu-time": "3600",
        "instance/scheduling/automatic-restart": "FALSE",
        "instance/scheduling/on-host-maintenance": "TERMINATE",
        "instance/scheduling/preemptible": "TRUE",
        **{
            f"instance/service-accounts/{name}/{key}": value
            for name, account in (
                ("default", first),
                ("front", first),
                ("second-one", second),
                (web, first),
                (SECOND, second),
            )
            for key, value in (account | computed).items()
        },
        "instance/tags": '["front","http-server"]',
        "instance/virtual-clock/drift-token": "17",
        "instance/zone": f"{place}/zones/here-b",
        "project/attributes/enable-oslogin": "TRUE",
        "project/numeric-project-id": "987654321",
        "project/project-id": "shop-prod",
        "universe/universe-domain": "example.com",
    }
    # What a card without addresses says of them is not said here.
    unsaid = re.compile(r"instance/network-interfaces/[12]/(ip|gateway|subnetmask)")
    found = {path: body for path, body in walk(full).items() if not unsaid.fullmatch(path)}
    assert found == expected


def test_one_line_gives_a_tree_that_clients_can_use(minimal: Guest) -> None:
    leaves = walk(minimal)
    number = leaves["project/numeric-project-id"]
    email = f"{number}-compute@developer.gserviceaccount.com"
    assert re.fullmatch(r"[0-9]{12}", number)
    assert re.fullmatch(r"[1-9][0-9]{17,18}", leaves["instance/id"])
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", leaves["project/project-id"])
    assert leaves["instance/hostname"] == leaves["instance/name"] == "web-1"
    assert leaves["instance/zone"] == f"projects/{number}/zones/locala"
    assert leaves["instance/region"] == f"projects/{number}/regions/local"
    assert leaves["instance/machine-type"] == f"projects/{number}/machineTypes/standard"
    assert leaves["instance/tags"] == "[]"
    assert leaves["instance/disks/0/device-name"] == "boot"
    assert leaves["instance/remaining-cpu-time"] == "-1"
    assert leaves["instance/virtual-clock/drift-token"] == "0"
    assert leaves["universe/universe-domain"] == "googleapis.com"
    assert (
        leaves[f"{ACCOUNT}/email"] == leaves[f"instance/service-accounts/{email}/email"] == email
    )
    for absent in ("guest-attributes/", "shutdown-details/", "upcoming-maintenance/"):
        assert absent not in text(minimal, "instance/").splitlines()
    # cloud-init asks for these, and again and again if they are not there.
    for empty in ("instance/attributes", "project/attributes", "instance/network-interfaces"):
        assert text(minimal, f"{empty}/") == text(minimal, empty) == ""
    for path in ("instance/attributes", "project/attributes"):
        assert loaded(minimal, f"{path}/?recursive=True") == {}
    assert loaded(minimal, "instance/network-interfaces/?recursive=true") == []


def test_ids_are_the_machines_own_and_stay() -> None:
    one, again = Guest(MINIMAL), Guest(MINIMAL)
    other = Guest(MINIMAL.replace("web-1", "web-2"))
    assert text(one, "instance/id") == text(again, "instance/id") != text(other, "instance/id")
    shared = "project/numeric-project-id"
    assert text(one, shared) == text(other, shared)


def test_a_project_that_google_could_have_keeps_its_name() -> None:
    assert text(Guest(f"{MINIMAL}project: shop-prod\n"), "project/project-id") == "shop-prod"
    derived = text(Guest(f"{MINIMAL}project: Shop\n"), "project/project-id")
    assert re.fullmatch(r"project-[0-9a-f]{12}", derived)


def test_user_data_that_is_no_text_is_base64_and_said_to_be() -> None:
    guest = Guest(f"{MINIMAL}user_data: {{base64: AAH/}}\n")
    assert b64decode(text(guest, "instance/attributes/user-data")) == b"\x00\x01\xff"
    assert text(guest, "instance/attributes/user-data-encoding") == "base64"
    plain = Guest(f"{MINIMAL}user_data: x\n")
    assert text(plain, "instance/attributes/") == "user-data\n"


def test_what_is_no_attribute_s_name_is_left_out() -> None:
    guest = Guest(f"{MINIMAL}meta: {{a b: c, d: e}}\n")
    assert text(guest, "instance/attributes/") == "d\n"


def test_only_ssh_keys_are_ssh_keys() -> None:
    pem = CERTIFICATE.replace("\n", "\n      ")
    rdp = f"  - name: rdp\n    type: x509\n    key: |\n      {pem}\n"
    keys = f"public_keys:\n{rdp}"
    assert ask(Guest(MINIMAL + keys), "instance/attributes/ssh-keys").status == 404
    both = Guest(f"{MINIMAL}{keys}  - {{name: ops, key: {ED25519}}}\n")
    assert text(both, "instance/attributes/ssh-keys") == f"cloudinit:{ED25519}"


def test_a_public_address_is_an_access_config_only_if_it_is_of_version_4() -> None:
    public = "public_addresses: ['2001:db8::7', 203.0.113.7]"
    nic = f"{{mac: 52:54:00:12:34:56, addresses: [10.0.0.5/24], {public}}}"
    guest = Guest(f"{MINIMAL}interfaces: [{nic}]\n")
    assert text(guest, "instance/network-interfaces/0/access-configs/") == "0/\n"
    path = "instance/network-interfaces/0/access-configs/0/external-ip"
    assert text(guest, path) == "203.0.113.7"


def test_a_machine_may_have_no_account() -> None:
    guest = Guest(f"{MINIMAL}gce: {{service_accounts: []}}\n")
    assert text(guest, "instance/service-accounts/") == ""
    for path in (ACCOUNT, f"{ACCOUNT}/token", f"{ACCOUNT}/identity?audience=x"):
        assert ask(guest, path).status == 404


# -------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Metadata-Flavor": "google"}, 403),
        ({"Metadata-Flavor": "Other"}, 403),
        ({"Metadata-Flavor": ""}, 403),
        ({"Metadata": "true"}, 403),
        ({"metadata-flavor": "Google"}, 200),
        ({"X-Google-Metadata-Request": "True"}, 200),
        ({"X-Google-Metadata-Request": "Other"}, 403),
        ({"Metadata-Flavor": "Other", "X-Google-Metadata-Request": "True"}, 403),
        ({"Metadata-Flavor": "Google", "X-Google-Metadata-Request": "Other"}, 200),
        ({"Metadata-Flavor": "Google", "X-Forwarded-For": "192.0.2.1"}, 403),
        ({"Metadata-Flavor": "Google", "X-Forwarded-For": ""}, 403),
        ({"X-Google-Metadata-Request": "True", "X-Forwarded-For": "192.0.2.1"}, 403),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/computeMetadata",
        TREE,
        f"{TREE}/instance/hostname",
        f"{TREE}/{ACCOUNT}/token",
        f"{TREE}/{WRITTEN}/",
        f"{TREE}/?recursive=true",
    ],
)
def test_google_s_header_is_needed(
    full: Guest, headers: dict[str, str], status: int, path: str
) -> None:
    assert full.ask(path, headers=headers).status == status
    if status != 200:
        assert full.ask(f"{TREE}/nothing", headers=headers).status == status
        assert full.ask(path, "PUT", headers).status == status


def test_who_asks_without_the_header_is_told_so(minimal: Guest) -> None:
    page = minimal.ask(f"{TREE}/instance/id").body
    assert b'Missing required header "Metadata-Flavor": "Google"' in page
    forwarded = ask(minimal, "instance/id", X_Forwarded_For="192.0.2.1").body
    assert b"X-Forwarded-For" in forwarded


def test_the_root_needs_no_header(minimal: Guest) -> None:
    for headers in ({}, FLAVOR):
        answer = minimal.ask("/", headers=headers)
        assert (answer.status, answer.body) == (200, b"computeMetadata/\n")
        assert header(answer, "Metadata-Flavor") == "Google"
    assert minimal.ask("/computeMetadata/", headers=FLAVOR).body == b"v1/\n"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "X"])
@pytest.mark.parametrize("headers", [{}, FLAVOR, FLAVOR | {"X-Forwarded-For": "192.0.2.1"}])
def test_every_answer_bears_the_flavor(method: str, headers: dict[str, str]) -> None:
    paths = (
        "/computeMetadata",
        "/computeMetadata/v2",
        TREE,
        *(
            f"{TREE}/{path}"
            for path in (
                "?alt=x",
                "?recursive=true",
                "instance/attributes/none",
                "instance/hostname",
                f"{ACCOUNT}/identity",
                f"{ACCOUNT}/identity?audience=x",
                f"{ACCOUNT}/token",
                WRITTEN,
                f"{WRITTEN}/a/b",
                f"{WRITTEN}/a/c",
                f"{WRITTEN}/a/b/c",
            )
        ),
    )
    statuses = set()
    on = Guest(OPEN)
    assert on.write("a/c", "x") is None
    for guest, path in product((Guest(MINIMAL), on), paths):
        answer = guest.ask(path, method, headers)
        statuses.add(answer.status)
        assert header(answer, "Metadata-Flavor") == "Google", path
        assert header(answer, "Server") == "Metadata Server for VM", path
        assert header(answer, "X-XSS-Protection") == "0", path
        assert header(answer, "X-Frame-Options") == "SAMEORIGIN", path
        assert header(answer, "Content-Type"), path
    reads = {200, 400, 403, 404}
    expected = {
        "GET": reads,
        "HEAD": reads,
        "PUT": {200, 400, 403, 405},
        "DELETE": {200, 403, 404, 405},
    }
    assert statuses == (expected.get(method, {403, 405}) if headers == FLAVOR else {403})


def test_no_answer_of_another_machine_bears_it() -> None:
    others = [name for name, dialect in DIALECTS.items() if name != "gce" and not dialect.always]
    for chosen in (others, *([name] for name in others)):
        guest = Guest(f"name: web-1\ndialects: [{', '.join(chosen)}]\n")
        paths = {*guest.snapshot.layout.slots, "/", "/x", "/computeMetadata", TREE, f"{TREE}/x"}
        for path, headers in product(paths, ({}, FLAVOR, {"Metadata": "true"})):
            answer = guest.ask(path, headers=headers)
            assert b"metadata-flavor" not in answer.head.lower(), path
            assert b"Metadata Server for VM" not in answer.head, path
        assert guest.ask(TREE, headers=FLAVOR).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "instance/hostname", 405, "GET, HEAD"),
        ("PUT", "instance/hostname", 405, "GET, HEAD"),
        ("DELETE", "instance/attributes/none", 405, "GET, HEAD"),
        ("POST", f"{ACCOUNT}/token", 405, "GET, HEAD"),
        ("POST", f"{WRITTEN}/a/b", 405, "DELETE, GET, HEAD, PUT"),
        ("GET", "instance/none", 404, ""),
        ("GET", "instance/attributes/none", 404, ""),
        ("GET", "instance/hostname/none", 404, ""),
        ("GET", "instance/disks/1", 404, ""),
        ("GET", "Instance", 404, ""),
        ("GET", f"{WRITTEN}/none/none", 404, ""),
        ("GET", "instance/id?alt=xml", 400, ""),
        ("GET", "instance/id?timeout_sec=soon", 400, ""),
        ("GET", "instance/id?timeout_sec=", 400, ""),
        ("GET", "instance/id?timeout_sec=-1", 400, ""),
        ("GET", "instance/id?timeout_sec=1.5", 400, ""),
        ("GET", "instance/id?timeout_sec=1234567890", 400, ""),
        ("GET", "instance/id?timeout_sec=%D9%A1", 400, ""),
    ],
)
def test_what_is_refused_is_a_page(method: str, path: str, status: int, allow: str) -> None:
    answer = ask(Guest(OPEN), path, method)
    assert (answer.status, header(answer, "Allow")) == (status, allow)
    assert header(answer, "Content-Type") == "text/html; charset=UTF-8"
    assert answer.body.startswith(b"<!DOCTYPE html>")
    assert f"<title>Error {status} ".encode() in answer.body


def test_paths_are_read_as_clients_write_them(full: Guest) -> None:
    assert text(full, "/instance//hostname/") == "web-1.shop.example"
    assert text(full, "project/../instance/%68ostname") == "web-1.shop.example"
    assert ask(full, "instance/hostname", "HEAD").body == b"web-1.shop.example"


# -------------------------------------------------------------------------------- forms, queries


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "application/text"),
        ("instance/hostname", "application/text"),
        ("instance/id", "application/text"),
        ("instance/tags", "application/json"),
        ("instance/tags?alt=json", "application/json"),
        ("instance/attributes/purpose", "application/text"),
        ("instance/attributes/", "application/text"),
        ("instance/id?alt=json", "application/json"),
        ("instance/?alt=json", "application/json"),
        ("instance/?recursive=true", "application/json"),
        ("instance/?recursive=true&alt=json", "application/json"),
        ("instance/?recursive=true&alt=text", "application/text"),
        ("instance/id?recursive=true", "application/json"),
        ("instance/id?recursive=true&alt=text", "application/text"),
        (f"{ACCOUNT}/scopes", "application/text"),
        (f"{ACCOUNT}/token", "application/json"),
        (f"{ACCOUNT}/identity?audience=x", "text/html"),
        (f"{ACCOUNT}/identity", "text/html"),
        (f"{WRITTEN}/hostkeys/ssh-rsa", "application/text"),
    ],
)
def test_each_form_has_its_content_type(full: Guest, path: str, kind: str) -> None:
    assert header(ask(full, path), "Content-Type") == kind


def test_an_attribute_is_text_whatever_it_is_called() -> None:
    names = ("tags", "scopes", "aliases", "disks", "token", "identity")
    words = json.dumps(dict.fromkeys(names, "a-word"))
    section = f"gce: {{attributes: {words}, project_attributes: {words}}}\n"
    guest = Guest(MINIMAL + section)
    for name, of in product(names, ("instance", "project")):
        answer = ask(guest, f"{of}/attributes/{name}")
        assert (answer.body, header(answer, "Content-Type")) == (b"a-word", "application/text")
        assert loaded(guest, f"{of}/attributes/{name}?alt=json") == "a-word"
    assert loaded(guest, "instance/attributes/?recursive=true") == dict.fromkeys(names, "a-word")


def test_json_is_what_clients_decode(full: Guest) -> None:
    document = loaded(full, "?recursive=true&alt=json")
    instance, project = document["instance"], document["project"]
    assert instance["id"] == 1234567890123456789
    assert ask(full, "instance/id?alt=json").body == b"1234567890123456789"
    assert project["numericProjectId"] == 987654321
    assert instance["attributes"]["startup-script"] == "#!/bin/sh\n"
    assert project["attributes"] == {"enable-oslogin": "TRUE"}
    assert instance["guestAttributes"] == {"hostkeys": {"ssh-rsa": "AAAA"}}
    assert instance["partnerAttributes"] == {"some-partner": {"a-key": "a value"}}
    assert list(instance["serviceAccounts"]) == [
        "default",
        "front",
        "second-one",
        "web@shop-prod.iam.gserviceaccount.com",
        SECOND,
    ]
    assert [nic["mac"][-1] for nic in instance["networkInterfaces"]] == ["1", "2", "3"]
    first = instance["networkInterfaces"][0]
    assert first["accessConfigs"] == [{"externalIp": "203.0.113.10", "type": "ONE_TO_ONE_NAT"}]
    assert first["dnsServers"] == ["192.0.2.53", "2001:db8::53"]
    assert first["forwardedIps"] == first["ipAliases"] == first["targetInstanceIps"] == []
    assert instance["tags"] == ["front", "http-server"]
    assert instance["licenses"] == [{"id": "5543610867827062957"}, {"id": "42"}]
    assert instance["virtualClock"] == {"driftToken": "17"}
    assert instance["machineType"].endswith("/machineTypes/m1.small")
    assert document["universe"] == {"universeDomain": "example.com"}


def test_above_the_tree_is_a_directory_like_any_other(full: Guest) -> None:
    def above(query: str = "") -> Answer:
        return full.ask(f"/computeMetadata/{query}", headers=FLAVOR)

    tree = "".join(f"v1/{line}\n" for line in text(full, "").splitlines())
    assert tree == "v1/instance/\nv1/project/\nv1/universe/\n"
    for query, body in (
        ("", "v1/\n"),
        ("?alt=json", '["v1/"]'),
        ("?recursive=true", f'{{"v1":{text(full, "?recursive=true")}}}'),
    ):
        answer = above(query)
        assert (answer.status, answer.body.decode()) == (200, body)
        assert re.fullmatch("[0-9a-f]{16}", header(answer, "ETag"))
        assert header(answer, "Content-Type") == header(ask(full, query), "Content-Type")
    lines = above("?recursive=true&alt=text").body.decode().splitlines()
    assert "v1/instance/hostname web-1.shop.example" in lines
    assert above("?alt=xml").status == 400
    waited = outcome(full, "../?wait_for_change=true&recursive=true&timeout_sec=5")
    assert isinstance(waited, Wait)
    assert waited.seconds == 5


def test_recursion_below_own_words_leaves_the_keys_alone(full: Guest) -> None:
    assert "startup-script" in loaded(full, "instance/attributes/?recursive=True")
    assert loaded(full, f"{WRITTEN}/?recursive=true") == {"hostkeys": {"ssh-rsa": "AAAA"}}
    assert loaded(full, f"{WRITTEN}/hostkeys/?recursive=true") == {"ssh-rsa": "AAAA"}
    assert loaded(full, "instance/partner-attributes/some-partner?recursive=true") == {
        "a-key": "a value"
    }
    assert loaded(full, f"{ACCOUNT}/?recursive=true") == {
        "aliases": ["default", "front"],
        "email": "web@shop-prod.iam.gserviceaccount.com",
        "scopes": ["one", "two"],
    }
    assert "deviceName" in loaded(full, "instance/disks/0/?recursive=true")


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "tRuE"])
def test_switches_are_read_in_any_case(full: Guest, value: str) -> None:
    assert loaded(full, f"instance/attributes/?recursive={value}")["note"] == "ünïcode"


@pytest.mark.parametrize("value", ["false", "", "1", "yes", "truer"])
def test_other_words_switch_nothing_on(full: Guest, value: str) -> None:
    assert text(full, f"project/?recursive={value}") == (
        "attributes/\nnumeric-project-id\nproject-id\n"
    )


def test_alt_chooses_the_form(full: Guest) -> None:
    assert loaded(full, "project/?alt=json") == ["attributes/", "numeric-project-id", "project-id"]
    assert loaded(full, "instance/hostname?alt=json") == "web-1.shop.example"
    assert loaded(full, "instance/hostname?recursive=true") == "web-1.shop.example"
    assert loaded(full, f"{ACCOUNT}/scopes?alt=json") == ["one", "two"]
    assert text(full, f"{ACCOUNT}/scopes?alt=text") == "one\ntwo"
    assert text(full, "project/?recursive=true&alt=text") == (
        "attributes/enable-oslogin TRUE\nnumeric-project-id 987654321\nproject-id shop-prod\n"
    )


def test_parameters_are_case_sensitive_and_the_first_counts(full: Guest) -> None:
    plain = text(full, "project/")
    assert text(full, "project/?Recursive=true&ALT=json&other=1&") == plain
    assert text(full, "project/?recursive=false&recursive=true") == plain
    assert text(full, "instance/id?alt=text&alt=xml") == "1234567890123456789"


def test_data_has_a_tag_and_what_is_computed_has_none(full: Guest) -> None:
    for path in ("", "instance/id", "?recursive=true", f"{WRITTEN}/", f"{ACCOUNT}/email"):
        assert re.fullmatch("[0-9a-f]{16}", header(ask(full, path), "ETag")), path
    for path in (f"{ACCOUNT}/token", f"{ACCOUNT}/identity?audience=x", "instance/none"):
        assert header(ask(full, path), "ETag") == ""


def test_a_tag_is_another_when_something_below_has_changed() -> None:
    guest = Guest(OPEN)
    paths = ("?recursive=true", f"{WRITTEN}/", "instance/hostname")
    before = [header(ask(guest, path), "ETag") for path in paths]
    assert put(guest, "a/b") == 200
    after = [header(ask(guest, path), "ETag") for path in paths]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, False, True]


# ----------------------------------------------------------------------------------- waiting


def test_who_waits_says_what_is_known(full: Guest) -> None:
    tag = header(ask(full, "instance/?recursive=true"), "ETag")
    for known in ("", f"&last_etag={tag}"):
        found = outcome(full, f"instance/?recursive=true&wait_for_change=true{known}")
        assert found == Wait(
            again=f"recursive=true&wait_for_change=true&last_etag={tag}",
            late=f"recursive=true{known}",
            seconds=None,
        )


@pytest.mark.parametrize("seconds", [0, 60, 999_999_999])
def test_who_waits_may_limit_it(full: Guest, seconds: int) -> None:
    found = outcome(full, f"instance/id?wait_for_change=TRUE&timeout_sec={seconds}")
    assert isinstance(found, Wait)
    assert found.seconds == seconds


@pytest.mark.parametrize("known", ["0", "NONE", "ffffffffffffffff", "other"])
def test_who_knows_something_else_waits_for_nothing(full: Guest, known: str) -> None:
    found = outcome(full, f"instance/id?wait_for_change=true&last_etag={known}")
    assert isinstance(found, Answer)
    assert found.body == b"1234567890123456789"


def test_who_waited_long_enough_gets_what_there_is(full: Guest) -> None:
    waited = ask(full, "instance/id?wait_for_change=true&timeout_sec=5")
    assert waited == ask(full, "instance/id")


def test_a_wrong_query_is_not_waited_for(full: Guest) -> None:
    assert outcome(full, "instance/id?wait_for_change=true&alt=x") is Refusal.BAD_QUERY


# ---------------------------------------------------------------------------------- accounts


def test_a_token_is_what_google_auth_reads(full: Guest) -> None:
    answer = ask(full, f"{ACCOUNT}/token")
    found = json.loads(answer.body)
    assert sorted(found) == ["access_token", "expires_in", "token_type"]
    assert type(found["expires_in"]) is int
    assert 1800 <= found["expires_in"] <= 3600
    assert found["token_type"] == "Bearer"
    assert found["access_token"].startswith("ya29.c.")
    assert ask(full, f"{ACCOUNT}/token") == answer


def test_each_scope_and_account_has_a_token_of_its_own(full: Guest) -> None:
    def token(name: str, query: str = "") -> str:
        found: str = loaded(full, f"instance/service-accounts/{name}/token{query}")["access_token"]
        return found

    of_all = token("default")
    assert of_all == token("front") == token("web@shop-prod.iam.gserviceaccount.com")
    assert of_all == token("default", "?scopes=one,two") == token("default", "?scopes=")
    assert of_all != token("default", "?scopes=one")
    assert token("second-one") == token(SECOND) != of_all
    assert ask(full, "instance/service-accounts/none/token").status == 404


class Scoped(Guest):
    """A guest that keeps which scopes its tokens are for, and may be refused them."""

    scopes = ""
    failure: CredentialsUnavailable | None = None

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        """Note what is asked for."""
        self.scopes = scope
        if self.failure is not None:
            raise self.failure
        return AccessToken("t", self.fake.now, self.fake.now + 60)

    def asked(self, query: str = "") -> str:
        """Give the scopes of the token that this query gets."""
        assert ask(self, f"{ACCOUNT}/token{query}").status == 200
        return self.scopes


def scoped(*scopes: str) -> Scoped:
    """Make a guest whose account has ``scopes``."""
    section = Gce(service_accounts=(GoogleAccount(scopes=scopes),))
    return Scoped(msgspec.structs.replace(machine(MINIMAL), sections={"gce": section}))


WIDE = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"


@pytest.mark.parametrize(
    ("query", "scopes"),
    [
        ("", "a,b,c"),
        ("?scopes=", "a,b,c"),
        ("?scopes=,%20,", "a,b,c"),
        ("?scopes=c,a", "a,c"),
        ("?scopes=a%20c", "a,c"),
        ("?scopes=a+c", "a,c"),
        ("?scopes=c&scopes=a", "a,c"),
        ("?scopes=a,&scopes=&scopes=c,%09a%20", "a,c"),
        ("?scopes=b", "b"),
        (f"?scopes={quote(EMAIL)},openid", f"{EMAIL},openid"),
        ("?scopes=openid,a", "a,openid"),
        # What was not given is not given; Compute Engine ignores what is asked then.
        ("?scopes=d", "a,b,c"),
        ("?scopes=a,d", "a,b,c"),
        (f"?scopes={quote(WIDE)}", "a,b,c"),
        ("?scopes=A", "a,b,c"),
        ("?scopes=a%2Cb%00", "a,b,c"),
    ],
)
def test_a_token_has_no_scope_that_the_account_has_not(query: str, scopes: str) -> None:
    assert scoped("c", "a", "b").asked(query) == scopes


def test_an_account_for_all_of_the_cloud_has_each_scope() -> None:
    guest = scoped("a", WIDE)
    assert guest.asked() == f"a,{WIDE}"
    assert guest.asked("?scopes=z,https://www.googleapis.com/auth/pubsub") == (
        "https://www.googleapis.com/auth/pubsub,z"
    )


def test_an_account_without_scopes_gets_none() -> None:
    guest = scoped()
    assert guest.asked("?scopes=a") == guest.asked() == ""
    assert guest.asked("?scopes=openid") == "openid"


def test_scopes_have_a_length() -> None:
    guest = scoped(WIDE)
    assert guest.asked(f"?scopes={'x' * 2048}") == "x" * 2048
    assert guest.asked(f"?scopes={'%C3%BC' * 2048}") == "ü" * 2048
    for query in (f"?scopes={'x' * 2049}", f"?scopes={'x' * 1024}&scopes={'y' * 1024}"):
        answer = ask(guest, f"{ACCOUNT}/token{query}")
        assert (answer.status, header(answer, "Content-Type")) == (400, "text/html; charset=UTF-8")
        assert b"A parameter of the query has a value that is not allowed." in answer.body


def test_all_scopes_of_an_account_may_be_asked_for_however_long_they_are() -> None:
    scopes = [f"{number:0>200}" for number in range(64)]
    guest = scoped(*scopes)
    assert guest.asked(f"?scopes={','.join(scopes)}") == ",".join(scopes)
    assert ask(guest, f"{ACCOUNT}/token?scopes={','.join(scopes)},x").status == 400


@pytest.mark.parametrize(
    ("code", "refusal"),
    [("Throttled", "throttled"), ("Failed", "unavailable"), ("Refused", "unavailable")],
)
def test_a_token_that_cannot_be_had_may_be_asked_for_later(code: str, refusal: str) -> None:
    guest = Scoped(MINIMAL)
    guest.failure = CredentialsUnavailable("not now", code=code, detail="/a/secret/path")
    answer = ask(guest, f"{ACCOUNT}/token")
    assert (answer.status, header(answer, "Retry-After")) == (503, "1")
    assert json.loads(answer.body) == {
        "error": "temporarily_unavailable",
        "error_description": "not now",
    }
    request = Request("GET", f"{TREE}/{ACCOUNT}/token", "", HTTPHeaders(FLAVOR))
    reply = asyncio.run(AccessTokenDocument(GoogleAccount())(request, guest))
    assert isinstance(reply, Reply)
    assert reply.refusal == refusal


EXCHANGED = f"""{MINIMAL}
tokens: [{{audience: sts}}]
gce:
  service_accounts:
    - {{provider: workload-identity, token_audience: sts, audience: //iam.example/provider}}
"""


def test_a_token_that_cannot_be_had_is_asked_for_again() -> None:
    answer = ask(Guest(EXCHANGED), f"{ACCOUNT}/token")
    assert answer.status == 503
    assert header(answer, "Metadata-Flavor") == "Google"
    assert json.loads(answer.body) == {
        "error": "temporarily_unavailable",
        "error_description": "no token for sts is offered",
    }


def with_file(read: Callable[[str], Awaitable[ServiceToken]]) -> Guest:
    """Make a guest whose account's tokens are in a file, which ``read`` reads."""
    account = GoogleAccount(provider="file", file="/secret/token")
    guest = with_section(machine(MINIMAL), Gce(service_accounts=(account,)))
    sources = msgspec.structs.replace(guest._access._sources, read=read)
    guest._access = AccessTokens(guest.ports, sources, spawn)
    return guest


@pytest.mark.parametrize(("ends", "left"), [(90.9, 90), (-5.0, 0)])
def test_a_token_says_how_long_it_lives(ends: float, left: int) -> None:
    async def read(path: str) -> ServiceToken:
        return ServiceToken(f"what is in {path}", 1_800_000_000 + ends)

    answer = ask(with_file(read), f"{ACCOUNT}/token")
    assert json.loads(answer.body) == {
        "access_token": "what is in /secret/token",
        "expires_in": left,
        "token_type": "Bearer",
    }


def test_why_a_file_cannot_be_read_is_for_the_host_alone() -> None:
    async def read(path: str) -> ServiceToken:
        raise TokenUnavailable(f"{path} is torn")

    answer = ask(with_file(read), f"{ACCOUNT}/token")
    assert answer.status == 503
    assert json.loads(answer.body)["error_description"] == "the token cannot be read"


def verified(guest: Guest, token: str, audience: str) -> dict[str, Any]:
    """Verify a JWT as its receiver does, but for this test's time, which is another."""
    keys = jwt.PyJWKSet.from_json(guest.issued.pages()[JWKS_PATH]().body.decode())
    claims: dict[str, Any] = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["RS256"],
        audience=audience,
        options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "iss"]},
    )
    return claims


def identity(guest: Guest, query: str, name: str = "default") -> dict[str, Any]:
    answer = ask(guest, f"instance/service-accounts/{name}/identity?audience=me&{query}")
    assert answer.status == 200
    assert not answer.body.endswith(b"\n")
    return verified(guest, answer.body.decode(), "me")


def test_an_identity_names_the_account(full: Guest) -> None:
    claims = identity(full, "")
    assert re.fullmatch("[1-9][0-9]{20}", claims["sub"])
    now = int(full.fake.now)
    assert claims == {
        "aud": "me",
        "azp": claims["sub"],
        "email": "web@shop-prod.iam.gserviceaccount.com",
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": claims["sub"],
    }
    assert identity(full, "format=standard&licenses=TRUE") == claims
    assert identity(full, "", "front") == claims
    assert identity(full, "", "second-one")["sub"] != claims["sub"]


@pytest.mark.parametrize("query", ["format=full", "format=FULL&licenses=FALSE"])
def test_an_identity_in_full_names_the_machine(full: Guest, query: str) -> None:
    assert identity(full, query)["google"] == {
        "compute_engine": {
            "instance_creation_timestamp": 1796119200,
            "instance_id": "1234567890123456789",
            "instance_name": "web-1",
            "project_id": "shop-prod",
            "project_number": 987654321,
            "zone": "here-b",
        }
    }


@pytest.mark.parametrize("value", ["TRUE", "true"])
def test_an_identity_may_name_the_licenses(full: Guest, value: str) -> None:
    engine = identity(full, f"format=full&licenses={value}")["google"]["compute_engine"]
    assert engine["license_id"] == ["5543610867827062957", "42"]


def test_an_identity_is_of_the_issuer_that_can_be_asked() -> None:
    guest = Guest(MINIMAL)
    guest.issuer = "https://issuer.example"
    assert identity(guest, "")["iss"] == "https://issuer.example"


@pytest.mark.parametrize("query", ["", "?audience=", "?audience=&audience=x", "?Audience=x"])
def test_an_identity_needs_an_audience(full: Guest, query: str) -> None:
    answer = ask(full, f"{ACCOUNT}/identity{query}")
    assert (answer.status, answer.body) == (400, b"non-empty audience parameter required\n")
    assert header(answer, "Metadata-Flavor") == "Google"


def test_an_audience_has_a_length(full: Guest) -> None:
    answer = ask(full, f"{ACCOUNT}/identity?audience={'%C3%BC' * 1024}")
    assert verified(full, answer.body.decode(), "ü" * 1024)
    answer = ask(full, f"{ACCOUNT}/identity?audience={'x' * 1025}")
    assert (answer.status, header(answer, "Content-Type")) == (400, "text/html; charset=UTF-8")
    assert b"A parameter of the query has a value that is not allowed." in answer.body


def test_the_key_s_name_is_not_made_for_each_token(
    full: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = jwt.get_unverified_header(ask(full, f"{ACCOUNT}/identity?audience=x").body)["kid"]
    monkeypatch.setattr(documents, "_required", None)
    again = ask(full, f"{ACCOUNT}/identity?audience=y").body
    assert jwt.get_unverified_header(again)["kid"] == name


def test_an_audience_is_what_it_reads_as_when_decoded(full: Guest) -> None:
    answer = ask(full, f"{ACCOUNT}/identity?audience=https%3A%2F%2Fme%2F%3Fa+b")
    assert verified(full, answer.body.decode(), "https://me/?a b")


# --------------------------------------------------------------------------- guest attributes


def test_what_a_guest_says_can_be_read_replaced_and_removed() -> None:
    guest = Guest(OPEN)
    assert text(guest, f"{WRITTEN}/") == ""
    assert put(guest, "hostkeys/ssh-rsa", b"AAAA") == 200
    assert put(guest, "guest-agent/sshable", "ünïcode".encode()) == 200
    assert text(guest, f"{WRITTEN}/") == "guest-agent/\nhostkeys/\n"
    assert text(guest, f"{WRITTEN}/hostkeys/ssh-rsa") == "AAAA"
    assert put(guest, "hostkeys/ssh-rsa", b"BBBB") == 200
    assert loaded(guest, f"{WRITTEN}/?recursive=true") == {
        "guest-agent": {"sshable": "ünïcode"},
        "hostkeys": {"ssh-rsa": "BBBB"},
    }
    assert put(guest, "hostkeys/ssh-rsa", b"", "DELETE") == 200
    assert put(guest, "hostkeys/ssh-rsa", b"", "DELETE") == 404
    assert ask(guest, f"{WRITTEN}/hostkeys/ssh-rsa").status == 404
    assert text(guest, f"{WRITTEN}/") == "guest-agent/\n"
    assert "guest-attributes/" in text(guest, "instance/").splitlines()


def test_an_empty_attribute_is_one() -> None:
    guest = Guest(OPEN)
    assert put(guest, "a/b", b"") == 200
    assert text(guest, f"{WRITTEN}/a/b") == ""
    assert text(guest, f"{WRITTEN}/a/") == "b\n"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("a" * 64 + "/" + "b" * 128, 200),
        ("a.b_c-D9/e.f_g-H0", 200),
        ("a" * 65 + "/b", 400),
        ("a/" + "b" * 129, 400),
        ("a", 400),
        ("", 400),
        ("a/b/c", 400),
        ("a/b%20c", 400),
        ("a/b%0A", 400),
        ("%C3%BC/b", 400),
    ],
)
def test_names_are_namespace_and_key(name: str, status: int) -> None:
    guest = Guest(OPEN)
    assert put(guest, name) == status
    assert len(walk(guest, f"{WRITTEN}/")) == (status == 200)
    assert put(guest, name, method="DELETE") == (200 if status == 200 else 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * MOST_CHARACTERS, 200),
        (b"x" * (MOST_CHARACTERS + 1), 400),
        (b"\xff", 400),
        (b"\x00\n", 200),
    ],
)
def test_texts_are_bounded_and_texts(body: bytes, status: int) -> None:
    guest = Guest(OPEN)
    answer = ask(guest, f"{WRITTEN}/a/b", "PUT", body)
    assert answer.status == status
    assert (ask(guest, f"{WRITTEN}/a/b").body == body) == (status == 200)
    if status == 400:
        assert b"no guest attribute" in answer.body


def test_writes_have_a_pace() -> None:
    guest = Guest(OPEN)
    assert [put(guest, f"a/{number}") for number in range(11)] == [200] * 10 + [503]
    answer = ask(guest, f"{WRITTEN}/a/0", "DELETE")
    assert (answer.status, header(answer, "Retry-After")) == (503, "1")
    assert b"rate of requests is too high" in answer.body
    # Reading costs nothing.
    assert len(walk(guest, f"{WRITTEN}/")) == 10
    guest.fake.advance(0.25)
    assert [put(guest, f"a/{number}", method="DELETE") for number in range(3)] == [200, 200, 503]


@pytest.mark.parametrize(
    ("description", "status"),
    [
        (MINIMAL, 403),
        (f"{MINIMAL}meta: {{enable-guest-attributes: 'TRUE'}}\n", 200),
        (f"{MINIMAL}gce: {{attributes: {{enable-guest-attributes: 'true'}}}}\n", 200),
        (f"{MINIMAL}gce: {{attributes: {{enable-guest-attributes: 'yes'}}}}\n", 403),
        (f"{MINIMAL}gce: {{project_attributes: {{enable-guest-attributes: 'TRUE'}}}}\n", 200),
        (
            (
                f"{MINIMAL}meta: {{enable-guest-attributes: 'FALSE'}}\n"
                "gce: {project_attributes: {enable-guest-attributes: 'TRUE'}}\n"
            ),
            403,
        ),
        (
            (
                f"{MINIMAL}meta: {{enable-guest-attributes: 'TRUE'}}\n"
                "gce: {attributes: {enable-guest-attributes: 'FALSE'}}\n"
            ),
            403,
        ),
        (OPEN, 200),
        (f"{OPEN}gce: {{attributes: {{enable-guest-attributes: 'FALSE'}}}}\n", 200),
        (
            (
                "name: a\ndialects: {gce: {guest_attributes: disabled}}\n"
                "meta: {enable-guest-attributes: 'TRUE'}\n"
            ),
            403,
        ),
    ],
)
def test_attribute_or_policy_switch_them_on(description: str, status: int) -> None:
    guest = Guest(description)
    assert put(guest, "a/b") == status
    for path in (WRITTEN, f"{WRITTEN}/", f"{WRITTEN}/?recursive=true"):
        assert ask(guest, path).status == status
    for path in (f"{WRITTEN}/a/b", f"{WRITTEN}/a"):
        assert ask(guest, path).status == status
    assert put(guest, "a/b", method="DELETE") == status
    assert ("guest-attributes/" in text(guest, "instance/").splitlines()) == (status == 200)
    assert ("guestAttributes" in loaded(guest, "instance/?recursive=true")) == (status == 200)
    if status == 403:
        assert b"access is disabled" in ask(guest, WRITTEN).body


@settings(max_examples=40)
@given(
    *[st.none() | st.sampled_from(["TRUE", "true", "FALSE", ""])] * 3,
    st.sampled_from(["enable-guest-attributes", "Enable-Guest-Attributes"]),
)
def test_what_counts_is_the_attribute_that_the_guest_reads(
    meta: str | None, own: str | None, projects: str | None, name: str
) -> None:
    described: dict[str, Any] = {"name": "a", "dialects": ["gce"]}
    described["meta"] = {} if meta is None else {name: meta}
    described["gce"] = {
        key: {name: value}
        for key, value in (("attributes", own), ("project_attributes", projects))
        if value is not None
    }
    guest = Guest(json.dumps(described))
    answers = [ask(guest, f"{of}/attributes/{name}") for of in ("instance", "project")]
    read = next((answer.body.decode() for answer in answers if answer.status == 200), "")
    on = name.islower() and read.lower() == "true"
    assert ask(guest, WRITTEN).status == (200 if on else 403)


def test_to_know_what_is_on_loads_nothing_heavy() -> None:
    code = (
        "import sys; from emulator.dialects import VOCABULARY, switched_on;"
        "from emulator.model.instance import Instance;"
        "assert 'emulator.dialects.gce.attributes' not in sys.modules;"
        "on = switched_on(Instance(name='a', dialects={'gce': VOCABULARY.policies['gce']()}));"
        "found = {dialect.name: policy for dialect, policy in on};"
        "assert found['gce'].guest_attributes == 'disabled';"
        "print(*(name for name in sys.modules if name.startswith('emulator.dialects.gce.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert names == {"attributes", "names", "section"}


# -------------------------------------------------------------------------------------- events


def at(guest: Guest, seconds: float) -> None:
    """Go to a moment after the start, and render as the server does when its time has come."""
    guest.fake.now = guest.started + seconds
    guest.again()


def test_maintenance_is_announced_happens_and_is_over() -> None:
    event = "{kind: maintenance, action: migrate, notice: start+10s, begins: notice+1m}"
    guest = Guest(f"{MINIMAL}events: [{event}]\n")
    upcoming = "instance/upcoming-maintenance"
    for seconds, said, status in (
        (9, "NONE", ""),
        (10, "MIGRATE_ON_HOST_MAINTENANCE", "PENDING"),
        (69, "MIGRATE_ON_HOST_MAINTENANCE", "PENDING"),
        (70, "MIGRATE_ON_HOST_MAINTENANCE", "ONGOING"),
        (7269, "MIGRATE_ON_HOST_MAINTENANCE", "ONGOING"),
        (7270, "NONE", ""),
    ):
        at(guest, seconds)
        assert text(guest, "instance/maintenance-event") == said, seconds
        assert text(guest, "instance/preempted") == "FALSE"
        if not status:
            assert ask(guest, upcoming).status == 404
            assert "upcomingMaintenance" not in loaded(guest, "instance/?recursive=true")
            continue
        assert "upcoming-maintenance/" in text(guest, "instance/").splitlines()
        assert {
            path.rpartition("/")[2]: said for path, said in walk(guest, f"{upcoming}/").items()
        } == {
            "can-reschedule": "FALSE",
            "latest-window-start-time": "2027-01-15T08:01:10Z",
            "maintenance-status": status,
            "type": "SCHEDULED",
            "window-end-time": "2027-01-15T10:01:10Z",
            "window-start-time": "2027-01-15T08:01:10Z",
        }


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("migrate", "MIGRATE"),
        ("freeze", "MIGRATE"),
        ("reboot", "TERMINATE"),
        ("redeploy", "TERMINATE"),
        ("stop", "TERMINATE"),
    ],
)
def test_maintenance_moves_or_ends_the_machine(action: str, said: str) -> None:
    guest = Guest(f"{MINIMAL}events: [{{kind: maintenance, action: {action}}}]\n")
    assert text(guest, "instance/maintenance-event") == f"{said}_ON_HOST_MAINTENANCE"


@pytest.mark.parametrize(
    ("action", "target"),
    [("terminate", "DELETED"), ("stop", "STOPPED"), ("hibernate", "SUSPENDED")],
)
def test_a_machine_that_is_taken_back_is_told(action: str, target: str) -> None:
    event = (
        f"{{kind: interruption, action: {action}, notice: start+100s, begins: notice+30s, "
        "ends: begins+1m}"
    )
    guest = Guest(f"{MINIMAL}events: [{event}]\n")
    details = "instance/shutdown-details"
    for seconds, state in ((99, ""), (100, "PENDING_STOP"), (130, "STOPPING"), (190, "")):
        at(guest, seconds)
        assert text(guest, "instance/preempted") == ("TRUE" if state else "FALSE")
        assert text(guest, "instance/maintenance-event") == "NONE"
        if not state:
            assert ask(guest, details).status == 404
            continue
        assert loaded(guest, f"{details}/?recursive=true") == {
            "maxDuration": 30,
            "requestTimestamp": "2027-01-15T08:01:40Z",
            "stopState": state,
            "targetState": target,
        }


def test_of_several_events_the_soonest_counts() -> None:
    told = (
        "{kind: maintenance, action: reboot, begins: start+2h}",
        "{kind: maintenance, action: migrate, begins: start+1h, ends: begins+30m}",
        "{kind: rebalance}",
    )
    guest = Guest(f"{MINIMAL}events: [{', '.join(told)}]\n")
    assert text(guest, "instance/maintenance-event") == "MIGRATE_ON_HOST_MAINTENANCE"
    assert text(guest, "instance/preempted") == "FALSE"
    at(guest, 5400)
    assert text(guest, "instance/maintenance-event") == "TERMINATE_ON_HOST_MAINTENANCE"
    window = text(guest, "instance/upcoming-maintenance/window-start-time")
    assert window == "2027-01-15T10:00:00Z"


def test_maintenance_without_an_end_ends_when_it_begins() -> None:
    event = Event(kind="maintenance", action="reboot")
    endless = Occurrence(event=event, notice=0.0, begins=60.0, ends=None, phase="announced")
    found = events([endless])
    assert found.upcoming is not None
    assert found.upcoming["window-end-time"] == "1970-01-01T00:01:00Z"


def test_an_event_wakes_who_waits_for_its_leaf_and_nobody_else() -> None:
    guest = Guest(f"{MINIMAL}events: [{{kind: interruption, notice: start+10s}}]\n")
    tags = {
        path: header(ask(guest, path), "ETag")
        for path in ("instance/preempted", "instance/maintenance-event")
    }
    at(guest, 10)
    waited = {
        path: outcome(guest, f"{path}?wait_for_change=true&last_etag={tag}")
        for path, tag in tags.items()
    }
    assert isinstance(waited["instance/preempted"], Answer)
    assert isinstance(waited["instance/maintenance-event"], Wait)


# ------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("section", "problems"),
    [
        (
            "{service_accounts: [{provider: file}]}",
            ["service_accounts[0].file: found nothing; allowed: a file with a token"],
        ),
        (
            "{service_accounts: [{provider: workload-identity}]}",
            [
                "service_accounts[0].token_audience: found nothing; allowed: an audience among",
                "service_accounts[0].audience: found nothing; allowed: the name of a workload",
            ],
        ),
        (
            "{service_accounts: [{provider: workload-identity, token_audience: x, audience: y}]}",
            ['service_accounts[0].token_audience: found "x"; allowed: an audience among'],
        ),
        (
            (
                "{service_accounts: [{provider: workload-identity, token_audience: sts, "
                "audience: y, lifetime: 600}]}"
            ),
            ["service_accounts[0].lifetime: found a value with provider workload-identity"],
        ),
        (
            (
                "{service_accounts: [{token_audience: sts, audience: a, endpoint: 'http://x/', "
                "impersonate: a@b, impersonation_endpoint: 'http://y'}]}"
            ),
            [
                f"service_accounts[0].{field}: found a value with provider generated"
                for field in (
                    "token_audience",
                    "audience",
                    "endpoint",
                    "impersonate",
                    "impersonation_endpoint",
                )
            ],
        ),
        (
            "{service_accounts: [{email: a@b}, {email: a@b}]}",
            ['service_accounts[1].email: found "a@b" again (as gce.service_accounts[0].email)'],
        ),
        (
            "{service_accounts: [{aliases: [x]}, {aliases: [y, x]}]}",
            ['service_accounts[1].aliases[1]: found "x" again'],
        ),
        (
            "{service_accounts: [{}, {aliases: [y, default]}]}",
            ['service_accounts[1].aliases[1]: found "default"; allowed: another name'],
        ),
        ("{attributes: {a b: c}}", ["attributes"]),
        ("{project_id: X}", ["project_id"]),
        ("{ssh_user: Root}", ["ssh_user"]),
        ("{licenses: [x]}", ["licenses[0]"]),
        ("{service_accounts: [{endpoint: 'ftp://x'}]}", ["service_accounts[0].endpoint"]),
    ],
)
def test_mistakes_in_the_section_are_named(section: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        machine(f"{MINIMAL}tokens: [{{audience: sts}}]\ngce: {section}\n")
    found = [str(problem) for problem in raised.value.problems]
    assert len(found) == len(problems)
    for said, expected in zip(found, problems, strict=True):
        assert f" gce.{expected}" in said


@pytest.mark.parametrize(
    "section",
    [
        "{}",
        "{service_accounts: []}",
        "{service_accounts: [{}, {}]}",
        "{service_accounts: [{aliases: [default]}]}",
        "{service_accounts: [{lifetime: 600}]}",
        (
            "{service_accounts: [{provider: workload-identity, token_audience: sts, audience: y, "
            "endpoint: 'http://[::1]:8080/token', impersonate: a@b}]}"
        ),
    ],
)
def test_what_is_no_mistake_is_served(section: str) -> None:
    guest = Guest(f"{MINIMAL}tokens: [{{audience: sts}}]\ngce: {section}\n")
    assert list(rules.mistakes(guest.instance)) == []
    assert walk(guest, "project/")


def test_the_first_account_is_default_even_if_it_says_so_itself() -> None:
    guest = Guest(f"{MINIMAL}gce: {{service_accounts: [{{aliases: [default, x]}}]}}\n")
    assert text(guest, f"{ACCOUNT}/aliases") == "default\nx"


def test_a_machine_without_the_section_has_no_mistakes_in_it() -> None:
    bare = machine("name: web-1\n")
    assert "gce" not in bare.sections
    assert list(rules.mistakes(bare)) == []


# ---------------------------------------------------------------------------- beside others


def test_the_root_is_shared_with_the_other_dialects() -> None:
    guest = Guest("name: a\ndialects: {ec2: {tokens: optional}, gce: {}}\n")
    alone = Guest("name: a\ndialects: {ec2: {tokens: optional}}\n")
    answer, other = guest.ask("/"), alone.ask("/")
    assert answer.status == 200
    assert set(answer.body.decode().splitlines()) == {
        "computeMetadata/",
        *other.body.decode().splitlines(),
    }
    assert header(answer, "Metadata-Flavor") == "Google"
    assert header(other, "Metadata-Flavor") == ""
    for line in answer.body.decode().splitlines():
        assert guest.status(f"/{line}") in {200, 403}
    assert guest.ask("/", "HEAD") == answer
    for refused in (guest.ask("/", "POST"), guest.ask("/", "PUT")):
        assert (refused.status, header(refused, "Metadata-Flavor")) == (405, "Google")


def test_other_dialects_paths_do_not_bear_the_flavor() -> None:
    guest = Guest("name: a\ndialects: [openstack, ec2, gce]\n")
    for path in ("/openstack", "/latest/meta-data/instance-id", "/openstack/none", "/none"):
        assert header(guest.ask(path), "Metadata-Flavor") == "", path
    assert text(guest, "instance/name") == "a"


# ----------------------------------------------------------------------- whatever there may be


def with_section(instance: Instance, section: Gce) -> Guest:
    return Guest(msgspec.structs.replace(instance, sections={"gce": section}))


BASES = [machine(text) for text in (MINIMAL, OPEN, FULL)]

keys = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True) | st.sampled_from(
    ["tags", "attributes", "ssh-keys", "guest-attributes", "service-accounts", "0", "a--b"]
)
texts = st.text(max_size=20)
attributes = st.dictionaries(keys, texts, max_size=4)
emails = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}@[a-z0-9][a-z0-9.-]{0,8}", fullmatch=True)
accounts = st.lists(
    st.builds(
        GoogleAccount,
        email=st.just("") | emails,
        scopes=st.lists(st.sampled_from(["one", "two"]), max_size=2).map(tuple),
    ),
    max_size=3,
    unique_by=lambda account: account.email or object(),
)
sections = st.builds(
    Gce,
    description=texts,
    network_tags=st.lists(keys, max_size=3).map(tuple),
    licenses=st.lists(st.sampled_from(["1", "22"]), max_size=2).map(tuple),
    disks=st.sampled_from([(), Gce().disks, Gce().disks * 11]),
    attributes=attributes,
    project_attributes=attributes,
    partner_attributes=st.dictionaries(keys, attributes, max_size=2),
    service_accounts=accounts.map(tuple),
)
words = st.from_regex(r"[A-Za-z0-9_-]{1,6}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}", fullmatch=True)


@st.composite
def guests(draw: st.DrawFn) -> Guest:
    guest = with_section(draw(st.sampled_from(BASES)), draw(sections))
    for name, value in draw(st.dictionaries(words, texts, max_size=4)).items():
        assert guest.written.write(name, value) is None
    guest.again()
    return guest


def json_path(path: str) -> Iterator[str]:
    """Give the keys of ``path`` as JSON has them, by the contract's words."""
    own = False
    for key in path.split("/"):
        first, *more = key.split("-")
        yield key if own else first + "".join(word.capitalize() for word in more)
        own = own or key in {
            "attributes",
            "guest-attributes",
            "partner-attributes",
            "service-accounts",
        }


def flattened(node: Any, leaves: set[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """Give the leaves of a JSON document with their paths, duplicates too."""
    if path in leaves or not isinstance(node, dict | list):
        return [(path, node)]
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    return [leaf for key, value in pairs for leaf in flattened(value, leaves, (*path, str(key)))]


@settings(max_examples=40)
@given(guests())
def test_recursion_gives_every_leaf_once_and_listings_lead_somewhere(guest: Guest) -> None:
    walked = walk(guest)
    leaves = {path: body for path, body in walked.items() if not COMPUTED.fullmatch(path)}
    as_json = {tuple(json_path(path)): loaded(guest, f"{path}?alt=json") for path in leaves}
    assert len(as_json) == len(leaves)
    whole = flattened(loaded(guest, "?recursive=true"), set(as_json))
    assert len(whole) == len(as_json)
    assert dict(whole) == as_json
    lines = [f"{path} {body}\n" for path, body in leaves.items()]
    assert text(guest, "?recursive=true&alt=text") == "".join(lines)
    slots = {path for path in guest.snapshot.layout.slots if path.startswith(f"{TREE}/")}
    listed = {f"{TREE}/{path}" for path in walked}
    assert listed <= slots
    # All else are the directories above, and those that are empty.
    for path in slots - listed:
        assert text(guest, path.removeprefix(f"{TREE}/")).endswith(("/\n", "")), path
    for path in leaves:
        if "attributes/" in path:
            assert header(ask(guest, path), "Content-Type") == "application/text"


@settings(max_examples=30)
@given(attributes, attributes, st.sampled_from(["", "?recursive=true", "?alt=json"]))
def test_tags_are_equal_where_bytes_are(
    one: dict[str, str], other: dict[str, str], query: str
) -> None:
    pair = [with_section(BASES[0], Gce(attributes=each)) for each in (one, other)]
    for path in ("instance/attributes/", "instance/", "instance/name", ""):
        first, second = (ask(guest, path + query) for guest in pair)
        same = header(first, "ETag") == header(second, "ETag")
        assert same == (first.body == second.body)


@given(st.text("abcXYZ09-_", max_size=20))
def test_converted_keys_have_no_hyphen_before_a_letter_and_stay(key: str) -> None:
    converted = _camel(key)
    assert not re.search("-[A-Za-z0-9]", converted)
    assert _camel(converted) == converted
    assert converted.replace("-", "").lower() == key.replace("-", "").lower()


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=4), max_size=4))
def test_keys_below_own_words_are_untouched(own: dict[str, str]) -> None:
    tree = dict.fromkeys(("attributes", "guest-attributes", "partner-attributes"), own)
    pages = GcePages("/v1", {"some-words": tree}, ())
    for name in tree:
        body = pages.form(f"/v1/some-words/{name}", own, "recursive").body
        assert json.loads(body) == own
    whole = json.loads(pages.page("/v1", "recursive").answer.body)
    assert list(whole) == ["someWords"]
    assert list(whole["someWords"].values()) == [own, own, own]


queries = st.builds(
    Query,
    recursive=st.booleans(),
    alt=st.sampled_from(["", "json", "text"]),
    wait=st.booleans(),
    last_etag=st.text(max_size=20),
    timeout=st.none() | st.integers(0, 999_999_999),
)
NAMES = ("recursive", "alt", "wait_for_change", "last_etag", "timeout_sec")
pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["true", "json", "text", "5"])))


@given(queries)
def test_a_query_reads_as_what_was_written(query: Query) -> None:
    assert Query.parse(query.text()) == query


@given(queries, st.from_regex("[a-z%+_]{1,9}=?[a-z0-9%]{0,9}", fullmatch=True))
def test_what_is_not_known_is_ignored(query: Query, other: str) -> None:
    if other.partition("=")[0] not in NAMES:
        assert Query.parse(f"{other}&{query.text()}") == query
        assert Query.parse(f"{query.text()}&{other}&&") == query


@given(pairs)
def test_of_repeated_parameters_the_first_counts(given_pairs: list[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for name, value in given_pairs:
        first.setdefault(name, value)
    repeated, once = ("&".join(map("=".join, each)) for each in (given_pairs, first.items()))
    assert Query.parse(repeated) == Query.parse(once)


@given(pairs, st.sampled_from([str.upper, str.capitalize]))
def test_names_in_another_case_are_unknown(given_pairs: list[tuple[str, str]], spell: Any) -> None:
    spelled = "&".join(f"{spell(name)}={value}" for name, value in given_pairs)
    assert Query.parse(spelled) == Query()


# For each name what it may have and what only looks like that, and anything for any.
numbers = st.text("0123456789", max_size=11) | st.sampled_from(
    ["-1", "1.5", " 5", "5\n", "\u0661"]
)
on_or_off = st.sampled_from(["true", "TRUE", "tRue", "false", "", "1", "true "])
asked = st.lists(
    st.one_of(
        st.tuples(st.just("timeout_sec"), numbers),
        st.tuples(st.just("alt"), st.sampled_from(["", "json", "Text", "xml", "json "])),
        st.tuples(st.sampled_from(["recursive", "wait_for_change"]), on_or_off),
        st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.text(max_size=12)),
        st.tuples(st.sampled_from(NAMES), st.sampled_from(["&", "=", "%", "%zz", "+", "\0"])),
    ),
    max_size=5,
)


@settings(max_examples=300)
@given(asked, st.sampled_from([quote, quote_plus, str]), st.text(max_size=9))
def test_no_query_breaks_it(
    given_pairs: list[tuple[str, str]], write: Callable[[str], str], rest: str
) -> None:
    query = "&".join(f"{write(name)}={write(value)}" for name, value in given_pairs)
    found = Query.parse(query)
    if write is not str:
        first = dict(reversed(given_pairs))
        seconds = first.get("timeout_sec")
        good = seconds is None or re.fullmatch("[0-9]{1,9}", seconds)
        if first.get("alt", "").lower() not in {"", "json", "text"} or not good:
            assert found is None
            return
        assert found == Query(
            recursive=first.get("recursive", "").lower() == "true",
            alt=first.get("alt", "").lower(),
            wait=first.get("wait_for_change", "").lower() == "true",
            last_etag=first.get("last_etag", ""),
            timeout=None if seconds is None else int(seconds),
        )
    for each in (query, f"{query}&{rest}", f"{rest}&{query}"):
        read = Query.parse(each)
        assert read is None or Query.parse(read.text()) == read
