"""google-auth, Google's library for Python, at the addresses where it looks by itself.

Other than each job's script, nothing is set for it: no variable of the environment, and
``metadata.google.internal`` is a name in ``/etc/hosts``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.crawl import ROOT, Crawl, crawl

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SCRIPT = Path(__file__).with_name("google_auth.py")
OPERATOR = "127.0.0.1:16926"
AUDIENCE = "https://shop.example"
VM = """\
name: web-1
project: shop-123
placement: {region: europe-west3, zone: europe-west3-b}
dialects: [gce]
gce:
  numeric_project_id: 123456789012
  id: 4567890123456789012
  licenses: ["5926592092274602096"]
  service_accounts:
    - {email: web@shop-123.iam.gserviceaccount.com}
    - {email: robot@shop-123.iam.gserviceaccount.com, scopes: ["https://example.com/robot"]}
"""
WEB = "web@shop-123.iam.gserviceaccount.com"
ROBOT = "robot@shop-123.iam.gserviceaccount.com"
WIDE = "https://www.googleapis.com/auth/cloud-platform"
V1 = "/computeMetadata/v1"
ACCOUNTS = f"{V1}/instance/service-accounts"
# Contract 10.1.
FOUND = ["GET /", f"GET {V1}/project/project-id"]


@pytest.fixture
def google(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> Callable[..., dict[str, Any]]:
    def run(job: str, argument: str = "", description: str = VM, *options: str) -> dict[str, Any]:
        clean = ["env", "--ignore-environment", f"HOME={tmp_path}", f"PYTHONPATH={ROOT}"]
        done = crawl(
            tmp_path,
            description,
            [*clean, sys.executable, str(SCRIPT), job, argument],
            {},
            operator=OPERATOR,
            options=options,
            names=["metadata.google.internal"],
        )
        check_log(done)
        record_property("seconds", done.result.get("seconds"))
        result: dict[str, Any] = done.result
        return {**result, "answers": {request.rpartition(" ")[2] for request in done.requests}}

    return run


def check_log(done: Crawl) -> None:
    """See that the audit log has what was on the wire, in its order."""
    logged = [request.split()[:2] for request in done.requests]
    assert logged == [
        [method, target.partition("?")[0].rstrip("/") or "/"]
        for method, target in map(str.split, done.result["lines"])
    ]


def token_requests(scopes: str) -> list[str]:
    """Name what two refreshes ask for; the second one knows the account's address."""
    token = f"GET {ACCOUNTS}/default/token?scopes={scopes}"
    return [
        f"GET {ACCOUNTS}/default/?recursive=true",
        token,
        f"GET {ACCOUNTS}/{WEB}/?recursive=true",
        token,
    ]


@pytest.mark.parametrize("dialects", ["[gce]", "[openstack, ec2, kubevirt, gce]"])
def test_credentials_and_project_are_found_and_refreshed(
    dialects: str, google: Callable[..., dict[str, Any]]
) -> None:
    found = google("default", "", VM.replace("[gce]", dialects))
    escaped = "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
    assert found["lines"] == [*FOUND, *token_requests(escaped)]
    assert found["answers"] == {"200"}
    assert found["project"] == "shop-123"
    for credentials in (found["first"], found["second"]):
        assert credentials["class"] == "google.auth.compute_engine.credentials.Credentials"
        assert credentials["email"] == WEB
        assert credentials["scopes"] == [WIDE]
        assert credentials["token"].startswith("ya29.")
        assert credentials["valid"]
        # At least half of it, and more than the 225 seconds at which it would ask again.
        assert 1790 < credentials["lifetime"] <= 3600


def test_a_token_is_asked_for_with_scopes(google: Callable[..., dict[str, Any]]) -> None:
    found = google("default", "a b")
    assert found["lines"] == [*FOUND, *token_requests("a%2Cb")]
    assert found["first"]["scopes"] == ["a", "b"]


def test_a_session_gets_one_token_and_goes_on_with_it(
    google: Callable[..., dict[str, Any]],
) -> None:
    found = google("use", "http://169.254.169.254/")
    wide = "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
    assert found["lines"] == [
        *FOUND,
        *token_requests(wide)[:2],
        "GET /",
        "GET /",
        f"GET {V1}/universe/universe-domain",
    ]
    assert found["answers"] == {"200"}
    assert found["universe"] == "googleapis.com"


def test_another_account_than_the_default_one(google: Callable[..., dict[str, Any]]) -> None:
    found = google("named", ROBOT)
    assert found["lines"] == [
        f"GET {ACCOUNTS}/{ROBOT}/?recursive=true",
        # "Always fetch token with default service account email", says google-auth.
        f"GET {ACCOUNTS}/default/token?scopes=https%3A%2F%2Fexample.com%2Frobot",
        f"GET {ACCOUNTS}/{ROBOT}/token",
    ]
    assert found["answers"] == {"200"}
    assert found["email"] == ROBOT
    assert found["scopes"] == ["https://example.com/robot"]
    assert found["own"].startswith("ya29.")
    assert found["own"] != found["token"]


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "https://issuer.example"])
def test_a_signed_identity_verifies(issuer: str, google: Callable[..., dict[str, Any]]) -> None:
    options = () if "google" in issuer else ("--issuer-url", issuer)
    found = google("identity", AUDIENCE, VM, *options)
    asked = "audience=https%3A%2F%2Fshop.example"
    full = [
        f"GET {ACCOUNTS}/default/?recursive=true",
        f"GET {ACCOUNTS}/default/identity?{asked}&format=full",
    ]
    assert found["lines"] == [
        *("GET /", *full),
        *full,
        f"GET {ACCOUNTS}/default/identity?{asked}",
        f"GET {ACCOUNTS}/default/identity?{asked}&format=full&licenses=TRUE",
    ]
    assert found["answers"] == {"200"}
    assert found["email"] == WEB
    plain = found["plain"]
    assert plain["iss"] == issuer
    assert plain["aud"] == AUDIENCE
    assert plain["email"] == WEB
    assert plain["email_verified"] is True
    assert plain["sub"] == plain["azp"]
    assert plain["exp"] - plain["iat"] == 3600
    assert "google" not in plain
    assert found["google"] == plain
    assert found["other"] == "InvalidAudienceError"
    machine = {
        "instance_creation_timestamp": 1767225600,
        "instance_id": "4567890123456789012",
        "instance_name": "web-1",
        "project_id": "shop-123",
        "project_number": 123456789012,
        "zone": "europe-west3-b",
    }
    for name in ("fetched", "credentials"):
        assert found[name]["iss"] == issuer
        assert found[name]["google"] == {"compute_engine": machine}
    licenses = {"license_id": ["5926592092274602096"]}
    assert found["licensed"]["google"] == {"compute_engine": machine | licenses}


def test_a_machine_without_an_account_says_so_at_once(
    google: Callable[..., dict[str, Any]],
) -> None:
    found = google("without", "", f"{VM.partition('gce:')[0]}gce: {{service_accounts: []}}\n")
    assert found["lines"] == [*FOUND, f"GET {ACCOUNTS}/default/?recursive=true"]
    assert found["project"] == "shop-123"
    assert "Status: 404" in found["error"]


@pytest.mark.parametrize("dialects", ["[openstack, ec2, kubevirt]", "[nocloud]"])
def test_without_the_dialect_it_is_not_at_google(
    dialects: str, google: Callable[..., dict[str, Any]]
) -> None:
    found = google("absent", "", f"name: web-1\ndialects: {dialects}\n")
    assert found["ping"] is False
    assert found["is_on_gce"] is False
    assert "default credentials were not found" in found["error"]
    # One request for each of the three questions: none is repeated.
    assert found["lines"] == ["GET /"] * 3
