"""cloud-init's parts that ask Azure's services, of the oldest and the newest release.

The whole data source needs a booted machine (``tests/guest``): it asks DHCP first. Here stands
which requests it makes, what it reads out of the answers, and that it does not try again: it does
so for minutes (contract 10.2).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.released import every_release
from tests.support.cloudinit_source import Release, python, unpack
from tests.support.crawl import Crawl, crawl
from tests.support.guest import COMPLETE, ED25519, RSA

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.client, pytest.mark.namespace]

SCRIPT = Path(__file__).with_name("cloud_init_azure.py")
WIRESERVER = "168.63.129.16"
OPERATOR = "127.0.0.1:5002"
REQUESTS = [
    "GET /metadata/instance 200",
    "GET wireserver:/machine 200",
    "POST wireserver:/machine 200",
]


@pytest.fixture
def azure(tmp_path: Path, record_property: Callable[[str, Any], None]) -> Callable[..., Crawl]:
    def run(release: Release, description: str, why: str = "") -> Crawl:
        cloud = tmp_path / "cloud"
        cloud.mkdir()
        job = {
            "folder": str(cloud),
            "endpoint": WIRESERVER,
            "operator": f"http://{OPERATOR}/guests",
            "why": why,
        }
        done = crawl(
            tmp_path,
            description,
            [str(python(release)), str(SCRIPT), json.dumps(job)],
            {"PYTHONPATH": str(unpack(release))},
            operator=OPERATOR,
            options=["--door", f"wireserver={WIRESERVER}:80"],
            addresses=[WIRESERVER],
        )
        record_property("seconds", done.result["seconds"])
        return done

    return run


def warned(done: Crawl) -> list[str]:
    """Give its warnings of our answers; those about this host's log and cards are not."""
    words = ("IMDS", "Azure", "GoalState", "key")
    return [one for one in done.result["warnings"] if any(word in one for word in words)]


@every_release
def test_each_thing_is_asked_for_once_and_found(
    release: Release, azure: Callable[..., Crawl]
) -> None:
    done = azure(release, COMPLETE + "dialects: [azure]\nazure: {admin_username: ada}\n")
    assert done.requests == REQUESTS
    result = done.result
    assert warned(done) == []
    assert result["username"] == "ada"
    assert result["hostname"] == "web-1.shop.example"
    assert result["no_password"] is True
    assert base64.b64decode(result["userdata"]) == b"#cloud-config\nhostname: kept\n"
    assert result["keys"] == [RSA, ED25519]
    assert result["pps_type"] == "None"
    assert result["valid"] is True
    assert result["metadata"]["extended"]["compute"]["hasCustomData"] is False
    assert result["guests"] == {"shop/web-1": {"boot": {"state": "Ready", "why": ""}}}


@every_release
def test_each_card_with_an_address_is_set_up(
    release: Release, azure: Callable[..., Crawl]
) -> None:
    cards = (
        "name: web-1\ndialects: [azure]\ninterfaces:\n"
        "  - {mac: '52:54:00:00:00:0a', addresses: [10.0.0.5/24, 10.0.0.6/24, 'fd00::5/64']}\n"
        "  - {mac: '52:54:00:00:00:0b', addresses: [dhcp4]}\n"
        "  - {mac: '52:54:00:00:00:0c', addresses: []}\n"
    )
    done = azure(release, cards)
    assert done.requests == REQUESTS
    assert warned(done) == []
    ethernets = done.result["network"]["ethernets"]
    assert list(ethernets) == ["eth0", "eth1"]
    macs = [card["match"]["macaddress"] for card in ethernets.values()]
    assert macs == ["52:54:00:00:00:0a", "52:54:00:00:00:0b"]
    assert [card["dhcp4"] for card in ethernets.values()] == [True, True]
    assert [card["dhcp6"] for card in ethernets.values()] == [True, False]
    assert ethernets["eth0"]["addresses"] == ["10.0.0.6/24"]
    assert "addresses" not in ethernets["eth1"]


@every_release
def test_each_card_with_addresses_of_version_6_is_set_up(
    release: Release, azure: Callable[..., Crawl]
) -> None:
    cards = (
        "name: web-1\ndialects: [azure]\ninterfaces:\n"
        "  - {mac: '52:54:00:00:00:0a', addresses: ['fd00::5/64', 'fd00::6/64', 'fd00::7/64']}\n"
        "  - {mac: '52:54:00:00:00:0b', addresses: ['fd00:1::5/64', slaac]}\n"
        "  - {mac: '52:54:00:00:00:0c', addresses: [10.2.0.5/8, 'fd00:2::5/48', 'fd00:2::6/48']}\n"
        "  - {mac: '52:54:00:00:00:0d', addresses: [slaac]}\n"
        "  - {mac: '52:54:00:00:00:0e', addresses: [dhcp6]}\n"
        "  - {mac: '52:54:00:00:00:0f', addresses: []}\n"
    )
    done = azure(release, cards)
    assert done.requests == REQUESTS
    assert warned(done) == []
    ethernets = done.result["network"]["ethernets"]
    # The first of each card is left to DHCP and the router, as is all of those nobody described.
    assert {name: card.get("addresses", []) for name, card in ethernets.items()} == {
        "eth0": ["fd00::6/64", "fd00::7/64"],
        "eth1": [],
        "eth2": ["fd00:2::6/48"],
        "eth3": [],
        "eth4": [],
    }
    assert [card["dhcp6"] for card in ethernets.values()] == [True] * 5
    macs = [card["match"]["macaddress"][-1] for card in ethernets.values()]
    assert macs == ["a", "b", "c", "d", "e"]


@every_release
def test_the_least_machine_is_enough(release: Release, azure: Callable[..., Crawl]) -> None:
    done = azure(release, "name: web-1\ndialects: [azure]\n")
    assert done.requests == REQUESTS
    result = done.result
    # It says so, and asks DHCP on its first card.
    assert warned(done) == ["IMDS network metadata has incomplete configuration: None"]
    assert (result["username"], result["hostname"]) == ("azureuser", "web-1")
    assert (result["userdata"], result["keys"]) == ("", [])
    assert result["guests"] == {"default/web-1": {"boot": {"state": "Ready", "why": ""}}}


@every_release
def test_a_failure_reaches_the_operator_as_it_was_told(
    release: Release, azure: Callable[..., Crawl]
) -> None:
    why = "result=error|reason=a <b> & 'c'|x=&amp;"
    done = azure(release, "name: web-1\ndialects: [azure]\n", why)
    assert done.requests == REQUESTS
    told = {"boot": {"state": "NotReady", "why": why}}
    assert done.result["guests"] == {"default/web-1": told}


@every_release
def test_elsewhere_there_is_nothing_for_it(release: Release, azure: Callable[..., Crawl]) -> None:
    done = azure(release, "name: web-1\n")
    assert done.requests == ["GET /metadata/instance 404"]
    assert not done.result["metadata"]
