"""By which name a server is asked: at its socket, a web page's own reads nothing.

What is refused, in which dialect's words, before and after what else (contracts 9.2-16, 9.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.abuse.wire import Answer, answers, request

if TYPE_CHECKING:
    from tests.fuzz.target import Target

HOST = "Host: metadata"
PAGE = "Host: page.example"


class Dialect(NamedTuple):
    """A path of a dialect, what it must be asked with, and how another's name is refused."""

    path: str
    lines: tuple[str, ...]
    type: str
    body: str


DIALECTS = {
    "openstack": Dialect("/openstack/latest/meta_data.json", (), "text/plain", "403 Forbidden\n"),
    "nocloud": Dialect("/nocloud/meta-data", (), "text/plain", "403 Forbidden\n"),
    "ec2": Dialect("/latest/meta-data/instance-id", (), "text/html", "<title>403 - Forbidden"),
    "ec2-token": Dialect("/latest/api/token", (), "text/html", "<title>403 - Forbidden"),
    "gce": Dialect(
        "/computeMetadata/v1/instance/id",
        ("Metadata-Flavor: Google",),
        "text/html",
        "The Host header names another server.",
    ),
    "azure": Dialect(
        "/metadata/instance?api-version=2021-02-01",
        ("Metadata: true",),
        "application/json",
        '{"error":"Forbidden. The Host header names another server"}',
    ),
    "azure-identity": Dialect(
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x",
        ("Metadata: true",),
        "application/json",
        '"error_description":"Forbidden. The Host header names another server"',
    ),
    "kubevirt": Dialect(
        "/v1/identity",
        ("Metadata: true",),
        "application/json",
        '{"error":"foreign_host","message":"Host header names another server"}\n',
    ),
}


def asked(target: Target, path: str, *lines: str, version: str = "1.1") -> Answer:
    (answer,) = answers(target.exchange(request(path, *lines, version=version)))
    return answer


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_refuses_in_its_own_words(target: Target, name: str) -> None:
    dialect = DIALECTS[name]
    answer = asked(target, dialect.path, PAGE, *dialect.lines)
    assert answer.status == 403
    assert answer.headers["content-type"].startswith(dialect.type)
    assert dialect.body in answer.body.decode()
    # Before its other rules: a page learns of no dialect which header it wants.
    assert asked(target, dialect.path, PAGE) == answer._replace(headers=answer.headers)


@pytest.mark.parametrize("name", ["openstack", "ec2", "gce", "azure", "kubevirt", "nocloud"])
def test_what_is_not_there_is_refused_likewise(target: Target, name: str) -> None:
    dialect = DIALECTS[name]
    below = dialect.path.partition("?")[0].rpartition("/")[0] + "/not-there"
    assert asked(target, below, PAGE, *dialect.lines).status == 403
    assert asked(target, below, HOST, *dialect.lines).status == 404


@pytest.mark.parametrize("path", ["/nowhere", "/hetzner/v1/metadata", "/opc/v2/instance"])
def test_what_no_dialect_has_is_404_by_any_name(target: Target, path: str) -> None:
    assert asked(target, path, PAGE) == asked(target, path, HOST)


def test_health_is_told_to_anyone(target: Target) -> None:
    assert asked(target, "/healthz", PAGE)[::2] == (200, b"OK")


# Each is sent as it stands, with what is made of it.
SPELLINGS = {
    "none": ((), 200),
    "an empty one": (("Host:",), 200),
    "an address": (("Host: 169.254.169.254",), 200),
    "with a port": (("Host: 169.254.169.254:80",), 200),
    "with an empty port": (("Host: 169.254.169.254:",), 200),
    "any address": (("Host: 192.0.2.77:8080",), 200),
    "IPv6": (("Host: [fd00:ec2::254]",), 200),
    "with a scope": (("Host: [fe80::a9fe:a9fe%25eth0]:80",), 200),
    "with a bare scope": (("Host: [fe80::a9fe:a9fe%eth0]",), 200),
    "localhost": (("Host: LOCALHOST:80",), 200),
    "a known name": (("Host: metadata.google.internal",), 200),
    "with a final dot": (("Host: metadata.google.internal.:80",), 200),
    "two that are right": (("Host: metadata", "Host: metadata"), 403),
    "another's": (("Host: page.example",), 403),
    "another's with a dot": (("Host: page.example.",), 403),
    "another's below ours": (("Host: metadata.page.example",), 403),
    "ours below another's": (("Host: page.metadata",), 403),
    "an address as a name": (("Host: 169.254.169.254.page.example",), 403),
    "an address in decimal": (("Host: 2852039166",), 403),
    "an address in hex": (("Host: 0xa9fea9fe",), 403),
    "an address with octal": (("Host: 0251.0376.0251.0376",), 403),
    "a short address": (("Host: 127.1",), 403),
    "an address in other digits": (("Host: \xb9\xb2\xb7.0.0.1",), 403),
    "a user before it": (("Host: page.example@169.254.169.254",), 403),
    "a user and a password": (("Host: a:b@metadata",), 403),
    "two ports": (("Host: metadata:80:80",), 403),
    "a path behind it": (("Host: metadata/page.example",), 403),
    "a name behind it": (("Host: metadata page.example",), 403),
    "two in one": (("Host: metadata, page.example",), 403),
    "IPv6 that goes on": (("Host: [::1].page.example",), 403),
    "IPv6 without brackets": (("Host: ::1",), 403),
    "a name in brackets": (("Host: [metadata]",), 403),
    "brackets that stay open": (("Host: [::1",), 403),
    "a wildcard": (("Host: *",), 403),
    "ours in percent": (("Host: %6detadata",), 403),
    "another's first": (("Host: page.example", "Host: metadata"), 403),
    "another's last": (("Host: metadata", "Host: page.example"), 403),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_name_is_ours_or_another_s(target: Target, name: str, version: str) -> None:
    lines, status = SPELLINGS[name]
    assert asked(target, "/latest/meta-data/", *lines, version=version).status == status


@pytest.mark.parametrize(
    ("whole", "host", "status"),
    [
        ("http://169.254.169.254/latest/meta-data/", HOST, 200),
        ("HTTP://METADATA:80/latest/meta-data/", HOST, 200),
        ("https://[fd00:ec2::254]/latest/meta-data/", HOST, 200),
        # The target's authority counts (RFC 9112, 3.2.2), and so does the header: either may lie.
        ("http://page.example/latest/meta-data/", HOST, 403),
        ("http://metadata/latest/meta-data/", PAGE, 403),
        ("http://page.example/latest/meta-data/", "Accept: */*", 403),
        ("http://page.example@metadata/latest/meta-data/", HOST, 403),
        ("http://metadata@page.example/latest/meta-data/", HOST, 403),
        ("http://metadata:80@page.example/latest/meta-data/", HOST, 403),
        ("http://metadata%2epage.example/latest/meta-data/", HOST, 403),
        ("http://metadata\\@page.example/latest/meta-data/", HOST, 403),
        ("http://page.example/healthz", HOST, 200),
        ("http://page.example/nowhere", HOST, 404),
        ("http:///latest/meta-data/", HOST, 200),
        # What is of no form that is known is a path that is not there.
        ("ftp://metadata/latest/meta-data/", HOST, 404),
        ("//page.example/latest/meta-data/", HOST, 404),
        ("latest/meta-data/", HOST, 200),
    ],
)
def test_a_target_in_absolute_form_has_a_name_too(
    target: Target, whole: str, host: str, status: int
) -> None:
    assert asked(target, whole, host).status == status
