"""Headers by which proxies say for whom they ask: which dialect refuses which (contract 9.1).

A guest's own say nothing of who it is; only signed ones of configured proxies do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.abuse.wire import Answer, answers, request
from tests.reliability.guests import asked
from tests.server.process import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.target import Target

HOST = "Host: metadata"
TTL = "X-aws-ec2-metadata-token-ttl-seconds: 60"
FLAVOR = "Metadata-Flavor: Google"
TRUE = "Metadata: true"

# Method, path, what is sent besides, and the status with X-Forwarded-For.
PLACES = {
    "root": ("GET", "/", (), 200),
    "health": ("GET", "/healthz", (), 200),
    "openstack": ("GET", "/openstack/latest/meta_data.json", (), 200),
    "nocloud": ("GET", "/nocloud/meta-data", (), 200),
    "ec2": ("GET", "/latest/meta-data/instance-id", (), 200),
    "ec2-token": ("PUT", "/latest/api/token", (TTL,), 403),
    "gce": ("GET", "/computeMetadata/v1/instance/id", (FLAVOR,), 403),
    "azure": ("GET", "/metadata/instance?api-version=2021-02-01", (TRUE,), 400),
    "azure-identity": ("GET", "/metadata/identity/oauth2/token", (TRUE,), 400),
    "native": ("GET", "/v1/identity", (TRUE,), 400),
    "native-token": ("GET", "/v1/token", (TRUE,), 400),
    "native-session": ("PUT", "/v1/api/token", (TRUE, TTL), 400),
    "imdsd": ("GET", "/imds/v1/hostname", (TRUE,), 400),
}
REFUSING = {name: place for name, place in PLACES.items() if place[3] != 200}
TAKING = {name: place for name, place in PLACES.items() if place[3] == 200}

SPELLINGS = (
    ("X-Forwarded-For: 10.0.0.9",),
    ("x-forwarded-for: 10.0.0.9",),
    ("X-FORWARDED-FOR: 10.0.0.9, 10.0.0.8",),
    ("X-Forwarded-For:",),
    ("X-Forwarded-For: 127.0.0.1",),
    ("X-Forwarded-For: \xff",),
    ("X-Forwarded-For: 10.0.0.9", "X-Forwarded-For: 10.0.0.8"),
)

# What else proxies send, or who would be taken for one. No dialect's clients or servers know them.
OTHERS = (
    "Forwarded: for=10.0.0.9;host=page.example;proto=https",
    "X-Real-IP: 10.0.0.9",
    "X-Forwarded-Host: page.example",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Server: page.example",
    "X-Original-URL: /v1/token",
    "X-Rewrite-URL: /v1/token",
    "X-HTTP-Method-Override: PUT",
    "X_Forwarded_For: 10.0.0.9",
    "X-Forwarded-For-: 10.0.0.9",
    "Via: 1.1 page.example",
    "True-Client-IP: 10.0.0.9",
    "X-Client-IP: 10.0.0.9",
    "X-Instance-ID: 11111111-1111-4111-8111-111111111111",
    "X-Tenant-ID: x",
    "X-Instance-ID-Signature: x",
    "X-Metadata-Provider: x",
    "Connection: X-Forwarded-For, Metadata, Host",
)


def ask(target: Target, place: tuple[str, str, tuple[str, ...], int], *lines: str) -> Answer:
    method, path, own, _ = place
    data = request(path, HOST, *own, *lines, method=method)
    (answer,) = answers(target.exchange(data))
    return answer


@pytest.mark.parametrize("lines", SPELLINGS, ids=repr)
@pytest.mark.parametrize("name", REFUSING)
def test_who_asks_for_another_is_refused(
    target: Target, name: str, lines: tuple[str, ...]
) -> None:
    place = REFUSING[name]
    assert ask(target, place, *lines).status == place[3]


@pytest.mark.parametrize("lines", SPELLINGS, ids=repr)
@pytest.mark.parametrize("name", TAKING)
def test_where_it_is_not_known_it_changes_nothing(
    target: Target, name: str, lines: tuple[str, ...]
) -> None:
    answer = ask(target, TAKING[name], *lines)
    assert answer.status == 200
    if name != "openstack":  # its seed is another in each answer
        assert answer.body == ask(target, TAKING[name]).body


@pytest.mark.parametrize("line", OTHERS)
@pytest.mark.parametrize("name", ["ec2", "gce", "azure", "native", "nocloud"])
def test_others_change_nothing(target: Target, name: str, line: str) -> None:
    usual, answer = ask(target, PLACES[name]), ask(target, PLACES[name], line)
    assert (answer.status, answer.body) == (usual.status, usual.body)
    assert usual.status == 200


VM = """\
name: vm-{0}
uuid: {0}1111111-1111-4111-8111-111111111111
peer: {{addresses: [127.0.0.{0}]}}
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("two")
    (folder / "vms").mkdir()
    for number in (1, 2):
        (folder / f"vms/{number}.yaml").write_text(VM.format(number))
    with Serving(folder, str(folder / "vms")) as server:
        yield server


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.2"},
        {"X-Real-IP": "127.0.0.2"},
        {"Forwarded": "for=127.0.0.2"},
        {"X-Instance-ID": "21111111-1111-4111-8111-111111111111", "X-Tenant-ID": "p"},
        {
            "X-Forwarded-For": "127.0.0.2",
            "X-Instance-ID": "21111111-1111-4111-8111-111111111111",
            "X-Instance-ID-Signature": "0" * 64,
            "X-Tenant-ID": "p",
        },
        {"X-Forwarded-For": "127.0.0.2", "X-Metadata-Provider": "p"},
    ],
    ids=",".join,
)
def test_no_guest_becomes_another_by_what_it_says(two: Serving, headers: dict[str, str]) -> None:
    for number in (1, 2):
        answer = asked(two.url, "/latest/meta-data/hostname", f"127.0.0.{number}", **headers)
        assert (answer.status, answer.body) == (200, f"vm-{number}".encode())
