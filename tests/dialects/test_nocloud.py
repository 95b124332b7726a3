from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.dialects.nocloud import FILES
from tests.support.guest import COMPLETE, ED25519, RSA, Guest, header

MINIMAL = "name: web-1\ndialects: [nocloud]\n"
SEEDS = ("/nocloud/", "/v1/", "/nocloud")


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(COMPLETE + "dialects: [nocloud, kubevirt]\n")


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_always_there(guest: Guest, name: str) -> None:
    minimal = Guest(MINIMAL)
    for seed in SEEDS:
        assert guest.status(seed + name) == 200
        assert guest.ask(seed + name).body == guest.ask(f"/nocloud/{name}/").body
        answer = minimal.ask(seed + name)
        assert answer.status == 200
        assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"
        assert (answer.body == b"") == (name != "meta-data")


def test_no_header_is_asked_for_beside_the_native_dialect(guest: Guest) -> None:
    assert guest.status("/v1/meta-data") == 200
    assert guest.status("/v1/identity") == 400


def test_the_seed_lists_its_files(guest: Guest) -> None:
    assert guest.text("/nocloud/") == "meta-data\nuser-data\nvendor-data\nnetwork-config"


def test_meta_data_is_yaml_of_what_the_description_says(guest: Guest) -> None:
    assert yaml.safe_load(guest.text("/nocloud/meta-data")) == {
        "instance-id": "0f0e0d0c-0b0a-4908-8706-050403020100",
        "local-hostname": "web-1.shop.example",
        "public-keys": [RSA, ED25519],
        "placement": {"availability-zone": "here-b", "region": "here"},
        "instance-type": "m1.small",
        "launch-index": 2,
        "tags": {"tier": "front"},
        "meta": {"purpose": 'a "quoted" word', "note": "ünïcode"},
    }


def test_minimal_meta_data_has_no_empty_keys() -> None:
    data = yaml.safe_load(Guest(MINIMAL).text("/nocloud/meta-data"))
    assert not {"public-keys", "tags", "meta"} & set(data)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_meta_data_survives_every_character(text: str) -> None:
    """YAML breaks lines at, or refuses, characters that JSON takes as they are."""
    line = "".join(letter for letter in text if letter >= " " and letter != "\x7f")
    escaped = "".join(f"\\U{ord(letter):08x}" for letter in line)
    guest = Guest(MINIMAL + f'meta: {{key: "{escaped}"}}\n')
    assert yaml.safe_load(guest.text("/nocloud/meta-data"))["meta"] == {"key": line}


def test_data_goes_out_byte_for_byte() -> None:
    raw = bytes(range(256)) * 3
    text = base64.b64encode(raw).decode()
    guest = Guest(MINIMAL + f"user_data: {{base64: {text}}}\nvendor_data: {{base64: {text}}}\n")
    assert guest.ask("/nocloud/user-data").body == raw
    assert guest.ask("/nocloud/vendor-data").body == raw


def network(description: str) -> Any:
    return yaml.safe_load(Guest(MINIMAL + description).text("/nocloud/network-config"))["network"]


def test_network_config_is_netplan_s(guest: Guest) -> None:
    assert yaml.safe_load(guest.text("/nocloud/network-config")) == {
        "network": {
            "version": 2,
            "ethernets": {
                "eth0": {
                    "match": {"macaddress": "52:54:00:00:00:01"},
                    "mtu": 1400,
                    "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
                    "routes": [
                        {"to": "0.0.0.0/0", "via": "192.0.2.1"},
                        {"to": "198.51.100.0/24", "via": "192.0.2.2", "metric": 50},
                        {"to": "::/0", "via": "2001:db8::1"},
                    ],
                    "nameservers": {
                        "addresses": ["192.0.2.53", "2001:db8::53"],
                        "search": ["shop.example"],
                    },
                },
                "eth1": {"match": {"macaddress": "52:54:00:00:00:02"}},
                "eth2": {"match": {"macaddress": "52:54:00:00:00:03"}},
            },
            "bonds": {
                "bond0": {
                    "interfaces": ["eth1", "eth2"],
                    "macaddress": "52:54:00:00:00:02",
                    "parameters": {
                        "mode": "802.3ad",
                        "mii-monitor-interval": "100",
                        "transmit-hash-policy": "layer3+4",
                    },
                    "dhcp4": True,
                    "accept-ra": True,
                }
            },
            "vlans": {
                "vlan7": {
                    "id": 7,
                    "link": "bond0",
                    "macaddress": "52:54:00:00:00:02",
                    "dhcp4": True,
                }
            },
        }
    }


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("dhcp4", {"dhcp4": True}),
        ("dhcp6", {"dhcp6": True, "accept-ra": True}),
        ("slaac", {"accept-ra": True}),
        ("dhcpv6-stateful", {"dhcp6": True, "accept-ra": True}),
        ("dhcpv6-stateless", {"accept-ra": True}),
    ],
)
def test_each_way_of_getting_addresses(word: str, settings: dict[str, bool]) -> None:
    data = network(f"interfaces: [{{mac: '52:54:00:00:00:01', addresses: [{word}]}}]\n")
    assert data["ethernets"]["eth0"] == {
        "match": {"macaddress": "52:54:00:00:00:01"},
        **settings,
    }


def test_other_methods_are_refused(guest: Guest) -> None:
    assert guest.status("/nocloud/meta-data", "POST") == 405


def test_without_the_dialect_its_paths_are_not_there() -> None:
    guest = Guest("name: web-1\ndialects: [openstack]\n")
    for seed in SEEDS:
        assert guest.status(f"{seed}meta-data") == 404
