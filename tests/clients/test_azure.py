"""azure-identity and MSAL at the address where they look by themselves (contract 5.6)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.crawl import Crawl, crawl

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SCRIPT = Path(__file__).with_name("azure_identity.py")
TOKEN = "/metadata/identity/oauth2/token"
USER = {
    "client_id": "22222222-aaaa-4000-8000-000000000001",
    "object_id": "22222222-aaaa-4000-8000-000000000002",
    "resource_id": "/subscriptions/s/resourceGroups/g/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/one",
}
OTHER = {"client_id": "33333333-aaaa-4000-8000-000000000001", "resource_id": "/other"}
OWN = {"client_id": "11111111-aaaa-4000-8000-000000000001"}
TENANT = "99999999-bbbb-4000-8000-000000000001"
# At most so long, though it waits 24 seconds where it is answered 404 (contract 10.1).
SOON = 2


@pytest.fixture
def azure(tmp_path: Path, record_property: Callable[[str, Any], None]) -> Callable[..., Crawl]:
    def run(job: str, description: str, given: Any = None, operator: str = "off") -> Crawl:
        client = [sys.executable, str(SCRIPT), job, json.dumps(given or {})]
        # Neither a developer's caches nor the tools that it would ask for a token.
        clean = {"HOME": str(tmp_path), "PATH": str(tmp_path / "none")}
        done = crawl(tmp_path, f"name: web-1\n{description}", client, clean, operator=operator)
        record_property("requests", done.requests)
        record_property("seconds", done.result.get("seconds"))
        return done

    return run


def described(*identities: Any, more: str = "dialects: [azure]\n") -> str:
    section = {"tenant_id": TENANT, "identities": identities}
    return f"{more}azure: {json.dumps(section)}\n"


def test_the_system_identity_has_a_token(azure: Callable[..., Crawl]) -> None:
    done = azure("managed", described(OWN, USER))
    # It keeps the token until it is about to end.
    assert done.requests == [f"GET {TOKEN} 200"]
    assert done.result["error"] == ""
    token = done.result["token"]
    assert token["aud"] == "https://management.azure.com"
    assert token["appid"] == OWN["client_id"]
    assert token["tid"] == TENANT
    # Servers of one key give the same one in turns; half of its life is left at least.
    assert 14_300 < done.result["expires_in"] <= 28_800


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": USER["client_id"]},
        {"identity_config": {"object_id": USER["object_id"]}},
        {"identity_config": {"resource_id": USER["resource_id"]}},
    ],
    ids=["client_id", "object_id", "resource_id"],
)
def test_an_identity_of_a_user_is_found_by_each_id(
    given: dict[str, Any], azure: Callable[..., Crawl]
) -> None:
    done = azure("managed", described(OWN, OTHER, USER), given)
    assert done.requests == [f"GET {TOKEN} 200"]
    token = done.result["token"]
    assert (token["appid"], token["oid"]) == (USER["client_id"], USER["object_id"])
    assert token["xms_mirid"] == USER["resource_id"]


@pytest.mark.parametrize(
    ("identities", "given", "said"),
    [
        ([OWN, USER], {"client_id": OTHER["client_id"]}, "Identity not found"),
        ([USER, OTHER], {}, "Multiple user assigned identities exist"),
    ],
    ids=["unknown", "several"],
)
def test_a_wrong_choice_is_said_at_once(
    identities: list[Any], given: dict[str, Any], said: str, azure: Callable[..., Crawl]
) -> None:
    done = azure("managed", described(*identities), given)
    assert done.requests == [f"GET {TOKEN} 400"]
    assert said in done.result["error"]
    assert done.result["seconds"] < SOON


def test_the_default_credential_has_a_token(azure: Callable[..., Crawl]) -> None:
    done = azure("default", "dialects: [azure]\n")
    # It looks whether anybody answers, without the header, before it asks.
    assert done.requests == [f"GET {TOKEN} 400", f"GET {TOKEN} 200"]
    assert done.result["token"]["aud"] == "https://management.azure.com"
    assert done.result["error"] == ""
    assert done.result["seconds"] < SOON


NONE = {
    "default": ("", 404),
    "ec2": ("dialects: [ec2]\n", 404),
    "gce": ("dialects: [gce]\n", 404),
    "nocloud": ("dialects: [nocloud]\n", 404),
    "azure": (described(), 400),
}


@pytest.mark.parametrize("name", NONE)
def test_where_there_is_no_identity_the_default_credential_soon_knows(
    name: str, azure: Callable[..., Crawl]
) -> None:
    description, probe = NONE[name]
    done = azure("default", description)
    assert done.requests == [f"GET {TOKEN} {probe}", f"GET {TOKEN} 400"]
    assert done.result["token"] is None
    assert "Identity not found" in done.result["error"]
    assert done.result["seconds"] < SOON


@pytest.mark.parametrize("name", ["default", "azure"])
def test_where_there_is_no_identity_who_asks_for_it_soon_knows(
    name: str, azure: Callable[..., Crawl]
) -> None:
    done = azure("managed", NONE[name][0])
    assert done.requests == [f"GET {TOKEN} 400"]
    assert "Identity not found" in done.result["error"]
    assert done.result["seconds"] < SOON


def test_msal_has_a_token_and_the_region(azure: Callable[..., Crawl]) -> None:
    where = "dialects: [azure]\nplacement: {region: westeurope}\n"
    done = azure("msal", described(OWN, more=where))
    assert done.requests == [
        f"GET {TOKEN} 200",
        "GET /metadata/instance/compute 200",
    ]
    assert done.result["access_token"]["appid"] == OWN["client_id"]
    assert done.result["token_type"] == "Bearer"
    assert 14_300 < done.result["expires_in"] <= 28_800
    assert done.result["region"] == "westeurope"


def test_msal_hears_of_no_identity(azure: Callable[..., Crawl]) -> None:
    done = azure("msal", "dialects: [openstack]\n")
    assert done.requests == [
        f"GET {TOKEN} 400",
        "GET /metadata/instance/compute 404",
    ]
    assert done.result["error_description"] == "Identity not found"
    assert done.result["region"] is None


FEDERATED = {
    **USER,
    "provider": "federated",
    "endpoint": f"http://127.0.0.1:5001/{TENANT}/oauth2/v2.0/token",
}
ACCOUNT = """\
namespace: shop
service_account: web
dialects: [azure]
tokens: [{audience: 'api://AzureADTokenExchange'}]
"""


def test_a_service_account_s_token_becomes_one_of_the_directory(
    azure: Callable[..., Crawl],
) -> None:
    description = described(FEDERATED, more=ACCOUNT)
    done = azure("federated", description, operator="127.0.0.1:5002")
    assert done.requests == [f"GET {TOKEN} 200"] * 2
    first, second = done.result["found"]
    assert first["token"] == second["token"] == "for https://management.azure.com/.default"
    assert 3500 < first["expires_in"] <= 3600
    # What is got in exchange is kept.
    assert done.result["forms"] == [
        {
            "grant_type": "client_credentials",
            "client_id": USER["client_id"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "scope": "https://management.azure.com/.default",
            "path": f"/{TENANT}/oauth2/v2.0/token",
            "sub": "system:serviceaccount:shop:web",
        }
    ]


def test_what_the_directory_refuses_is_refused_at_once(azure: Callable[..., Crawl]) -> None:
    refusing = FEDERATED | {"endpoint": "http://127.0.0.1:5001/refuse"}
    description = described(refusing, more=ACCOUNT)
    done = azure("federated", description, operator="127.0.0.1:5002")
    assert done.requests == [f"GET {TOKEN} 400"] * 2
    for found in done.result["found"]:
        assert "invalid_client" in found["error"]
        assert "a secret" not in found["error"]
        assert found["seconds"] < SOON
