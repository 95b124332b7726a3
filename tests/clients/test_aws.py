"""botocore and boto3 at the address where they look by themselves."""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.crawl import Crawl, crawl

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SCRIPT = Path(__file__).with_name("aws.py")
DIALECT = "placement: {{region: eu-west, zone: eu-west-1a}}\ndialects: {dialects}\n"
ROLE = "/latest/meta-data/iam/security-credentials"
FOUND = [
    "PUT /latest/api/token 200",
    f"GET {ROLE} 200",
    f"GET {ROLE}/web 200",
    "PUT /latest/api/token 200",
    "GET /latest/meta-data/placement/availability-zone 200",
]


@pytest.fixture
def aws(tmp_path: Path) -> Callable[..., Crawl]:
    def run(job: str, dialects: str, rest: str = "", **environment: str) -> Crawl:
        description = f"name: web-1\n{rest}{DIALECT.format(dialects=dialects)}"
        client = [sys.executable, str(SCRIPT), job, str(tmp_path / "credentials")]
        # Nothing of whoever runs the tests.
        clean = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": "none"}
        return crawl(tmp_path, description, client, clean | environment)

    return run


def role(**fields: str) -> str:
    inner = ", ".join(f"{name}: {value}" for name, value in {"role": "web", **fields}.items())
    return f"ec2: {{credentials: {{{inner}}}}}\n"


def test_keys_and_region_are_found_with_tokens_required(aws: Callable[..., Crawl]) -> None:
    done = aws("find", "{ec2: {tokens: required}}", role(), AWS_EC2_METADATA_V1_DISABLED="true")
    assert done.requests == FOUND
    keys = done.result["keys"]
    assert keys["method"] == "iam-role"
    assert keys["access_key"].startswith("ASIA")
    assert len(keys["access_key"]) == 20
    assert len(keys["secret_key"]) == 40
    assert keys["token"]
    assert done.result["region"] == "eu-west-1"


def test_a_machine_without_a_role_has_a_region(aws: Callable[..., Crawl]) -> None:
    done = aws("find", "[ec2]")
    assert done.result["keys"] is None
    assert done.result["region"] == "eu-west-1"
    assert done.requests[:2] == ["PUT /latest/api/token 200", f"GET {ROLE} 404"]


REFUSED: dict[str, tuple[str, str, list[str]]] = {
    "off": (
        "{ec2: {endpoint: off}}",
        "",
        ["PUT /latest/api/token 403", f"GET {ROLE} 403"],
    ),
    "openstack's tree": (
        "[openstack]",
        "",
        ["PUT /latest/api/token 404", f"GET {ROLE} 404"],
    ),
    "openstack's tree, IMDSv1 disabled": (
        "[openstack]",
        "true",
        ["PUT /latest/api/token 404"],
    ),
    "no tree": (
        "[kubevirt]",
        "",
        ["PUT /latest/api/token 404", f"GET {ROLE} 404"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_without_tokens_it_soon_has_nothing(
    name: str, aws: Callable[..., Crawl], record_property: Callable[[str, Any], None]
) -> None:
    dialects, disabled, requests = REFUSED[name]
    done = aws("find", dialects, AWS_EC2_METADATA_V1_DISABLED=disabled)
    record_property("seconds", done.result["seconds"])
    assert done.result["keys"] is None
    assert bool(done.result["error"]) is bool(disabled)
    assert done.requests[: len(requests)] == requests


def test_changed_keys_are_taken_over(aws: Callable[..., Crawl], tmp_path: Path) -> None:
    # So near their end that botocore asks for others whenever it uses them.
    ends = dt.datetime.fromtimestamp(time.time() + 300, dt.UTC).isoformat()
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = AKIAFIRST\naws_secret_access_key = secret\n"
        f"aws_session_token = token\nexpiration = {ends}\n"
    )
    done = aws(
        "rotate",
        "[ec2]",
        role(provider="file", file=str(file)),
        AWS_SHARED_CREDENTIALS_FILE="none",
    )
    assert done.result["before"]["method"] == "iam-role"
    assert done.result["before"]["access_key"] == "AKIAFIRST"
    assert done.result["after"]["access_key"] == "AKIASECOND"
    assert {request.rpartition(" ")[2] for request in done.requests} == {"200"}


def test_a_service_account_s_token_becomes_keys_that_sts_knows(
    aws: Callable[..., Crawl], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl")
    tokens = f"tokens: [{{audience: sts.amazonaws.com, file: {tmp_path}/token}}]\n"
    section = role(
        provider="web-identity",
        role_arn="arn:aws:iam::123456789012:role/web",
        endpoint='"http://127.0.0.1:5000"',
    )
    done = aws("identity", "[ec2]", tokens + section)
    assert done.result["arn"] == "arn:aws:sts::123456789012:assumed-role/web/web-1"
    assert done.result["found"]["keys"]["method"] == "iam-role"
