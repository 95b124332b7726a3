"""The real cloudbase-init, which Windows guests run, with its services in their default order."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.crawl import Crawl, crawl
from tests.support.guest import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

KEY = rsa.generate_private_key(65537, 2048)
LINE = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
PASSWORD = "/openstack/2013-04-04/password"
WINDOWS = f"""\
name: win-1
uuid: {UUID}
hostname: win-1.shop.example
public_keys:
  - {{name: ops, key: "{LINE}"}}
  - name: remote
    type: x509
    key: |
      {CERTIFICATE.replace(chr(10), chr(10) + "      ")}
user_data: "#ps1_sysnative"
interfaces:
  - mac: 52:54:00:00:00:01
    addresses: [192.0.2.10/24, "2001:db8::10/64"]
    gateways: [192.0.2.1]
    dns: [192.0.2.53]
"""


@pytest.fixture
def cloudbase(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> Callable[..., Crawl]:
    def run(description: str, posts: tuple[int, ...] = (), service: str = "") -> Crawl:
        script = str(Path(__file__).with_name("cloudbase_init.py"))
        client = [sys.executable, script, json.dumps({"posts": posts, "service": service})]
        done = crawl(tmp_path, description, client, {})
        record_property("seconds", done.result["seconds"])
        return done

    return run


def opened(posted: str) -> str:
    """Give the password in what the guest posted, as its owner would read it."""
    return KEY.decrypt(base64.b64decode(posted), padding.PKCS1v15()).decode()


def text(encoded: Any) -> str:
    return base64.b64decode(encoded).decode()


def test_it_asks_for_each_thing_once_and_posts_its_password(
    cloudbase: Callable[..., Crawl],
) -> None:
    done = cloudbase(WINDOWS)
    assert done.requests == [
        "GET / 200",  # whether it needs a route to the address
        "GET /openstack/latest/meta_data.json 200",
        "GET /openstack/latest/user_data 200",
        "GET /openstack/latest/network_data.json 200",
        f"GET {PASSWORD} 200",
        "GET /openstack/2013-04-04/meta_data.json 200",
        f"GET {PASSWORD} 200",
        f"POST {PASSWORD} 200",
        f"GET {PASSWORD} 200",
    ]
    assert done.result["routes"] == 0
    assert not done.result["password_before"]
    assert opened(text(done.result["password_after"])) == "Pa55-word"


def test_it_has_all_that_the_description_says(cloudbase: Callable[..., Crawl]) -> None:
    result = cloudbase(WINDOWS).result
    assert result["service"] == "HttpService"
    assert result["instance_id"] == UUID
    assert result["hostname"] == "win-1.shop.example"
    assert result["keys"] == [LINE]
    assert result["certificates"] == [CERTIFICATE]
    assert text(result["user_data"]) == "#ps1_sysnative"
    assert result["admin_pass"] is None
    links, networks, services = result["network"]
    assert [link[:5] for link in links] == [
        ["eth0", "eth0", "physical", True, "52:54:00:00:00:01"]
    ]
    assert networks == [
        ["eth0", "192.0.2.10/24", ["192.0.2.53"], [["0.0.0.0/0", "192.0.2.1"]]],
        ["eth0", "2001:db8::10/64", [], []],
    ]
    assert services == [[["192.0.2.53"], None]]


def test_a_second_password_conflicts_and_a_long_one_is_bad(
    cloudbase: Callable[..., Crawl],
) -> None:
    done = cloudbase(WINDOWS, posts=(100,))
    assert done.requests[-1] == f"POST {PASSWORD} 409"
    assert "409" in done.result["posted"][0]


def test_a_password_of_1021_bytes_is_refused(cloudbase: Callable[..., Crawl]) -> None:
    # Without a key the plugin posts nothing, so nothing is stored before.
    done = cloudbase("name: win-1\n", posts=(1021, 1020))
    assert "400" in done.result["posted"][0]
    assert done.result["posted"][1] == "True"
    assert [request for request in done.requests if request.startswith("POST")] == [
        f"POST {PASSWORD} 400",
        f"POST {PASSWORD} 200",
    ]


def test_what_is_absent_is_not_retried(cloudbase: Callable[..., Crawl]) -> None:
    done = cloudbase("name: win-1\n")
    assert done.requests == [
        "GET / 200",
        "GET /openstack/latest/meta_data.json 200",
        "GET /openstack/latest/user_data 404",  # a certificate may be in there
        "GET /openstack/latest/user_data 404",
        "GET /openstack/latest/network_data.json 404",
        f"GET {PASSWORD} 200",
        "GET /openstack/2013-04-04/meta_data.json 200",
        f"GET {PASSWORD} 200",
        f"GET {PASSWORD} 200",
    ]
    assert done.result["network"] is None


def test_a_closed_password_is_never_posted(cloudbase: Callable[..., Crawl]) -> None:
    done = cloudbase(WINDOWS + "dialects: {openstack: {password: closed}}\n")
    assert done.result["password_before"]
    assert not [request for request in done.requests if request.startswith("POST")]


def test_an_injected_password_is_used_and_posted(cloudbase: Callable[..., Crawl]) -> None:
    result = cloudbase(WINDOWS + "admin_pass: from-the-owner\n").result
    assert result["admin_pass"] == "from-the-owner"
    assert opened(text(result["password_after"])) == "from-the-owner"


# ----------------------------------------------------------------------------------------- EC2

EC2 = "cloudbaseinit.metadata.services.ec2service.EC2Service"


def test_ec2_s_service_reads_the_oldest_tree_without_a_token(
    cloudbase: Callable[..., Crawl],
) -> None:
    done = cloudbase(WINDOWS + "dialects: {ec2: {tokens: optional}}\n", service=EC2)
    root = "/2009-04-04"
    assert done.requests == [
        "GET / 200",
        f"GET {root}/meta-data/local-hostname 200",
        f"GET {root}/meta-data/instance-id 200",
        f"GET {root}/meta-data/public-keys 200",
        f"GET {root}/meta-data/public-keys/0/openssh-key 200",
        f"GET {root}/user-data 200",
    ]
    result = done.result
    assert result["service"] == "EC2Service"
    assert result["hostname"] == "win-1.shop.example"
    assert result["instance_id"].startswith("i-")
    assert result["keys"] == [LINE]
    assert text(result["user_data"]) == "#ps1_sysnative"


def test_ec2_s_service_knows_no_tokens(cloudbase: Callable[..., Crawl]) -> None:
    done = cloudbase(WINDOWS + "dialects: {ec2: {tokens: required}}\n", service=EC2)
    assert done.result["service"] is None
    assert done.requests[:2] == ["GET / 200", "GET /2009-04-04/meta-data/local-hostname 401"]
