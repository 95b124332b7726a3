"""cloud-init's EC2 data source, of the oldest and the newest release that guests run.

Which requests it makes is stated exactly: one that fails costs it the whole tree (contract 10.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from tests.clients.released import decoded, every_release, source
from tests.support.cloudinit_source import Release
from tests.support.crawl import Crawl
from tests.support.guest import COMPLETE, ED25519, RSA

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.client, pytest.mark.namespace]

UUID = "ec2e0d0c-0b0a-4908-8706-050403020100"
AWS = {
    "module": "DataSourceEc2",
    "name": "DataSourceEc2",
    "config": {"Ec2": {}},
    "dmi": {"system-uuid": UUID, "system-serial-number": UUID},
    "cmdline": "",
}
OTHER = {
    **AWS,
    "dmi": {"system-uuid": f"0f0{UUID[3:]}", "system-serial-number": "web-1.brightbox.com"},
}
STRICT = "dialects: {ec2: {tokens: required}}\n"
LENIENT = "dialects: {ec2: {tokens: optional}}\n"
LEAST = "name: web-1\ninterfaces: [{mac: 52:54:00:00:00:01}]\n"
CARD = "meta-data/network/interfaces/macs/52:54:00:00:00:01"

# A directory's directories, then its leaves; keys are found by their numbers.
WALK = f"""\
meta-data
meta-data/block-device-mapping
meta-data/block-device-mapping/ami
meta-data/block-device-mapping/root
meta-data/events
meta-data/events/maintenance
meta-data/events/maintenance/history
meta-data/events/maintenance/scheduled
meta-data/identity-credentials
meta-data/identity-credentials/ec2
meta-data/identity-credentials/ec2/info
meta-data/metrics
meta-data/metrics/vhostmd
meta-data/network
meta-data/network/interfaces
meta-data/network/interfaces/macs
{CARD}
{CARD}/device-number
{CARD}/interface-id
{CARD}/local-hostname
{CARD}/mac
{CARD}/owner-id
{CARD}/security-group-ids
{CARD}/security-groups
{CARD}/subnet-id
{CARD}/vpc-id
meta-data/placement
meta-data/placement/availability-zone
meta-data/placement/availability-zone-id
meta-data/placement/region
meta-data/services
meta-data/services/domain
meta-data/services/partition
meta-data/ami-id
meta-data/ami-launch-index
meta-data/ami-manifest-path
meta-data/hostname
meta-data/instance-action
meta-data/instance-id
meta-data/instance-life-cycle
meta-data/instance-type
meta-data/local-hostname
meta-data/mac
meta-data/profile
meta-data/reservation-id
meta-data/security-groups
meta-data/system
dynamic/instance-identity
dynamic/instance-identity/document
dynamic/instance-identity/pkcs7
dynamic/instance-identity/rsa2048
dynamic/instance-identity/signature
""".splitlines()


def walked(paths: list[str] = WALK) -> list[str]:
    return [f"GET /2021-03-23/{path} 200" for path in paths]


@pytest.fixture(scope="module", params=get_args(Release))
def strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    return source(request.param, COMPLETE + STRICT, AWS, tmp_path_factory.mktemp("ec2"))


def test_a_token_comes_first_and_every_path_is_asked_for_once(strict: Crawl) -> None:
    first = [
        "PUT /latest/api/token 200",
        "GET /2021-03-23/meta-data/instance-id 200",
        "GET /2021-03-23/user-data 200",
        "GET /2021-03-23/meta-data 200",
    ]
    assert strict.requests[:4] == first
    walk = strict.requests[2:]
    assert len(walk) == len(set(walk))
    assert set(walked()) <= set(walk)
    assert [request for request in walk if not request.endswith(" 200")] == []


def test_it_has_all_that_the_description_says(strict: Crawl) -> None:
    result = strict.result
    assert result["warnings"] == []
    assert result["loaded"]
    assert result["instance_id"].startswith("i-")
    assert result["hostname"] == "web-1"
    assert result["keys"] == [RSA, ED25519]
    assert result["zone"] == "here-b"
    assert decoded(result["userdata"]) == "#cloud-config\nhostname: kept\n"
    assert result["metadata"]["tags"] == {"instance": {"tier": "front"}}
    cards = result["metadata"]["network"]["interfaces"]["macs"]
    assert cards["52:54:00:00:00:01"]["local-ipv4s"] == "192.0.2.10"
    assert cards["52:54:00:00:00:01"]["subnet-ipv4-cidr-block"] == "192.0.2.0/24"


def test_its_cards_are_found_by_their_addresses(strict: Crawl) -> None:
    card = strict.result["netplan"]["ethernets"]["enp1s0"]
    assert card["match"] == {"macaddress": "52:54:00:00:00:01"}
    assert card["dhcp4"] is True


@every_release
def test_the_least_machine_is_walked_whole(release: Release, tmp_path: Path) -> None:
    done = source(release, LEAST + STRICT, AWS, tmp_path)
    assert done.requests == [
        "PUT /latest/api/token 200",
        "GET /2021-03-23/meta-data/instance-id 200",
        "GET /2021-03-23/user-data 404",
        *walked(),
    ]
    assert done.result["warnings"] == []
    assert done.result["loaded"]


@every_release
def test_a_cloud_that_is_not_aws_s_needs_no_token(release: Release, tmp_path: Path) -> None:
    done = source(release, LEAST + LENIENT, OTHER, tmp_path)
    assert done.requests == [
        "GET /2009-04-04/meta-data/instance-id 200",
        "GET /2021-03-23/meta-data/instance-id 200",
        "GET /2021-03-23/user-data 404",
        # It believes identity documents of AWS alone.
        *walked([path for path in WALK if not path.startswith("dynamic")]),
    ]
    assert done.result["warnings"] == []
    assert done.result["loaded"]
    assert done.result["hostname"] == "web-1"


@every_release
def test_a_machine_whose_cards_nobody_describes_keeps_its_network(
    release: Release, tmp_path: Path
) -> None:
    done = source(release, "name: web-1\n" + STRICT, AWS, tmp_path)
    assert done.result["loaded"]
    assert {request.rpartition(" ")[2] for request in done.requests} == {"200", "404"}
    # It says so, and asks DHCP on its first card; Debian 12's release looks a second time.
    assert done.result["warnings"] == ["Metadata 'network' key not valid: None."]
    looks = 2 if release == "debian-12" else 1
    assert done.requests.count("PUT /latest/api/token 200") == looks


REFUSALS: dict[str, tuple[str, list[str]]] = {
    "no such dialect": ("dialects: [openstack]\n", ["PUT /latest/api/token 404"]),
    "endpoint off": ("dialects: {ec2: {endpoint: off}}\n", ["PUT /latest/api/token 403"]),
}


@every_release
@pytest.mark.parametrize("name", REFUSALS)
def test_it_gives_up_at_once_where_it_gets_no_token(
    name: str, release: Release, tmp_path: Path, record_property: Any
) -> None:
    dialects, requests = REFUSALS[name]
    done = source(release, "name: web-1\n" + dialects, AWS, tmp_path)
    record_property("seconds", done.result["seconds"])
    assert not done.result["loaded"]
    assert done.requests == requests
