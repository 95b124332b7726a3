from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from emulator import sources
from emulator.dialects import VOCABULARY
from emulator.dialects.base import View
from emulator.dialects.openstack import DIALECT, NAMES, OpenStackPolicy
from emulator.errors import ConfigError
from tests.support.guest import CERTIFICATE, COMPLETE, ED25519, RSA, Guest, header
from tests.support.network_schema import NETWORK_DATA
from tests.support.ports import FakePorts

FILES = (
    "meta_data.json",
    "user_data",
    "password",
    "vendor_data.json",
    "network_data.json",
    "vendor_data2.json",
)
SINCE = {
    "password": "2013-04-04",
    "vendor_data.json": "2013-10-17",
    "network_data.json": "2015-10-15",
    "vendor_data2.json": "2016-10-06",
}
ALWAYS = {
    "uuid",
    "hostname",
    "name",
    "meta",
    "public_keys",
    "keys",
    "files",
    "launch_index",
    "availability_zone",
    "admin_pass",
}
KEYS_SINCE = {
    "random_seed": "2013-04-04",
    "project_id": "2015-10-15",
    "devices": "2016-06-30",
    "dedicated_cpus": "2020-10-14",
}
MINIMAL = "name: web-1\ndialects: [openstack]\n"


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(COMPLETE)


def test_versions_are_listed_as_nova_lists_them(guest: Guest) -> None:
    answer = guest.ask("/openstack")
    assert answer.body.decode() == (
        "2012-08-10\n2013-04-04\n2013-10-17\n2015-10-15\n2016-06-30\n2016-10-06\n2017-02-22\n"
        "2018-08-27\n2020-10-14\n2025-04-04\nlatest"
    )
    assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"
    assert guest.ask("/openstack/").body == answer.body


@pytest.mark.parametrize("version", NAMES)
def test_a_version_lists_its_files_in_nova_s_order(guest: Guest, version: str) -> None:
    expected = [name for name in FILES if SINCE.get(name, "") <= version]
    assert guest.text(f"/openstack/{version}").split("\n") == expected
    for name in FILES:
        status = 200 if name in expected else 404
        assert guest.status(f"/openstack/{version}/{name}") == status


def test_versions_after_today_are_served_but_not_listed() -> None:
    ports = FakePorts()
    ports.now = 1_500_000_000  # July 2017
    guest = Guest(COMPLETE, ports)
    assert guest.text("/openstack").split("\n")[-2:] == ["2017-02-22", "latest"]
    assert guest.text("/openstack/2025-04-04").split("\n") == list(FILES)
    assert guest.json("/openstack/2025-04-04/meta_data.json")["name"] == "web-1"


def test_a_version_of_today_is_listed() -> None:
    instance, policy = Guest(COMPLETE).instance, OpenStackPolicy()
    for today, hidden in (("2025-04-04", False), ("2025-04-03", True)):
        view = View(instance=instance, policy=policy, today=today)
        listed = [leaf for leaf in DIALECT.leaves(view) if leaf.listed]
        assert {"/openstack/2025-04-04" in leaf.hidden for leaf in listed} == {hidden}


@pytest.mark.parametrize("version", NAMES)
def test_meta_data_has_each_key_since_its_version(guest: Guest, version: str) -> None:
    answer = guest.ask(f"/openstack/{version}/meta_data.json")
    assert header(answer, "Content-Type") == "application/json"
    expected = ALWAYS | {key for key, since in KEYS_SINCE.items() if since <= version}
    assert set(json.loads(answer.body)) == expected


def test_meta_data_says_what_the_description_says(guest: Guest) -> None:
    data = guest.json("/openstack/latest/meta_data.json")
    assert len(base64.b64decode(data.pop("random_seed"), validate=True)) == 512
    assert data == {
        "uuid": "0f0e0d0c-0b0a-4908-8706-050403020100",
        "hostname": "web-1.shop.example",
        "name": "web-1",
        "meta": {"purpose": 'a "quoted" word', "note": "ünïcode"},
        "public_keys": {"ops=key": RSA, "dev": ED25519},
        "keys": [
            {"name": "ops=key", "type": "ssh", "data": RSA},
            {"name": "dev", "type": "ssh", "data": ED25519},
        ],
        "files": [
            {"path": "/etc/motd", "content_path": "/content/0000"},
            {"path": "/etc/other", "content_path": "/content/0001"},
        ],
        "admin_pass": "correct horse",
        "project_id": "5f3c0de5f3c0de5f3c0de5f3c0de5f3c",
        "launch_index": 2,
        "availability_zone": "here-b",
        "dedicated_cpus": [],
        "devices": [
            {
                "type": "nic",
                "mac": f"52:54:00:00:00:0{number + 1}",
                "vf_trusted": False,
                "bus": "none",
                "address": "none",
                "tags": [f"eth{number}"],
            }
            for number in range(3)
        ],
    }


def test_vf_trusted_came_after_devices(guest: Guest) -> None:
    def keys(version: str) -> set[str]:
        return set(guest.json(f"/openstack/{version}/meta_data.json")["devices"][0])

    assert keys("2018-08-27") - keys("2017-02-22") == {"vf_trusted"}


def test_the_random_seed_is_new_in_each_answer(guest: Guest) -> None:
    first, second = (guest.json("/openstack/latest/meta_data.json") for _ in range(2))
    assert first.pop("random_seed") != second.pop("random_seed")
    assert first == second


def test_what_is_not_described_is_absent_rather_than_null() -> None:
    guest = Guest(MINIMAL)
    data = guest.json("/openstack/latest/meta_data.json")
    assert not ({"meta", "public_keys", "keys", "files", "admin_pass"} & set(data))
    assert None not in data.values()
    listed = guest.text("/openstack/latest").split("\n")
    assert listed == ["meta_data.json", "password", "vendor_data2.json"]
    for name in set(FILES) - set(listed):
        assert guest.status(f"/openstack/latest/{name}") == 404
    assert guest.text("/openstack/latest/vendor_data2.json") == "{}"


def test_a_certificate_is_a_key_but_no_ssh_key() -> None:
    pem = CERTIFICATE.replace("\n", "\\n")
    guest = Guest(MINIMAL + f'public_keys: [{{name: rm, key: "{pem}", type: x509}}]\n')
    data = guest.json("/openstack/latest/meta_data.json")
    assert "public_keys" not in data
    assert data["keys"] == [{"name": "rm", "type": "x509", "data": CERTIFICATE}]


def test_empty_user_and_vendor_data_are_absent() -> None:
    guest = Guest(MINIMAL + 'user_data: ""\nvendor_data: ""\n')
    assert guest.status("/openstack/latest/user_data") == 404
    assert guest.status("/openstack/latest/vendor_data.json") == 404
    assert guest.text("/openstack/latest/vendor_data2.json") == "{}"


def test_user_data_goes_out_byte_for_byte() -> None:
    raw = bytes(range(256)) * 3
    text = base64.b64encode(raw).decode()
    guest = Guest(MINIMAL + f"user_data: {{base64: {text}}}\n")
    answer = guest.ask("/openstack/latest/user_data")
    assert answer.body == raw
    assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"


def test_injected_files_have_content_but_no_listing(guest: Guest) -> None:
    assert guest.text("/openstack/content/0000") == "hello\n"
    assert guest.text("/openstack/content/0001") == "other"
    assert guest.status("/openstack/content/0002") == 404
    assert guest.status("/openstack/content") == 404
    assert "content" not in guest.text("/openstack")


def test_vendor_data_is_under_the_key_that_cloud_init_reads(guest: Guest) -> None:
    text = "#cloud-config\ntimezone: UTC\n"
    answer = guest.ask("/openstack/latest/vendor_data.json")
    assert header(answer, "Content-Type") == "application/json"
    assert json.loads(answer.body) == {"cloud-init": text}
    assert guest.json("/openstack/latest/vendor_data2.json") == {
        "static": {"cloud-init": text},
        "inventory": {"rack": 7},
    }


def test_vendor_data_that_json_cannot_carry_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"vendor_data\.base64: found bytes that") as caught:
        Guest(MINIMAL + "vendor_data: {base64: H4sI}\n")
    assert "openstack" in str(caught.value)


def test_an_own_static_provider_replaces_the_repetition() -> None:
    guest = Guest(MINIMAL + "vendor_data: x\nvendor_data2: {static: {a: 1}, b: [2]}\n")
    data = guest.json("/openstack/latest/vendor_data2.json")
    assert data == {"static": {"a": 1}, "b": [2]}


def test_documents_end_without_a_newline(guest: Guest) -> None:
    for name in FILES:
        if name != "user_data":  # it ends as its owner ended it
            assert not guest.text(f"/openstack/latest/{name}").endswith("\n")


# --------------------------------------------------------------------------- network_data.json


def check(data: Any) -> None:
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.validate(data, NETWORK_DATA, format_checker=formats)


def network(description: str) -> Any:
    data = Guest(MINIMAL + description).json("/openstack/latest/network_data.json")
    check(data)
    return data


def test_network_data_is_what_nova_s_schema_allows(guest: Guest) -> None:
    answer = guest.ask("/openstack/latest/network_data.json")
    assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"
    check(json.loads(answer.body))


@pytest.mark.parametrize("name", ["complete", "dual-stack", "sample", "windows"])
def test_network_data_of_our_fixtures_is_what_nova_s_schema_allows(name: str) -> None:
    path = Path(__file__).parents[2] / f"fixtures/instances/{name}.yaml"
    (instance,) = sources.load(str(path), VOCABULARY)
    check(Guest(instance).json("/openstack/latest/network_data.json"))


def test_network_data_describes_links(guest: Guest) -> None:
    links = guest.json("/openstack/latest/network_data.json")["links"]
    assert len({link.pop("vif_id") for link in links}) == 5
    physical = [
        {
            "id": f"eth{number}",
            "type": "phy",
            "ethernet_mac_address": f"52:54:00:00:00:0{number + 1}",
            "mtu": None if number else 1400,
        }
        for number in range(3)
    ]
    assert links == [
        *physical,
        {
            "id": "bond0",
            "name": "bond0",
            "type": "bond",
            "ethernet_mac_address": "52:54:00:00:00:02",
            "bond_links": ["eth1", "eth2"],
            "bond_mode": "802.3ad",
            "bond_miimon": 100,
            "bond_xmit_hash_policy": "layer3+4",
        },
        {
            "id": "vlan7",
            "type": "vlan",
            "vlan_link": "bond0",
            "vlan_id": 7,
            "vlan_mac_address": "52:54:00:00:00:02",
        },
    ]


def test_network_data_describes_networks(guest: Guest) -> None:
    data = guest.json("/openstack/latest/network_data.json")
    ids = {network["link"]: network.pop("network_id") for network in data["networks"]}
    assert len(set(ids.values())) == 3
    dns4, dns6 = ({"type": "dns", "address": a} for a in ("192.0.2.53", "2001:db8::53"))
    assert data["services"] == [dns4, dns6]
    assert data["networks"] == [
        {
            "id": "network0",
            "link": "eth0",
            "type": "ipv4",
            "ip_address": "192.0.2.10",
            "netmask": "255.255.255.0",
            "dns_nameservers": ["192.0.2.53"],
            "dns_search": ["shop.example"],
            "services": [dns4],
            "routes": [
                {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"},  # noqa: S104
                {
                    "network": "198.51.100.0",
                    "netmask": "255.255.255.0",
                    "gateway": "192.0.2.2",
                    "metric": 50,
                },
            ],
        },
        {
            "id": "network1",
            "link": "eth0",
            "type": "ipv6",
            "ip_address": "2001:db8::10",
            "netmask": "ffff:ffff:ffff:ffff::",
            "dns_nameservers": ["2001:db8::53"],
            "services": [dns6],
            "routes": [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}],
        },
        {"id": "network2", "link": "bond0", "type": "ipv4_dhcp", "services": [], "routes": []},
        {"id": "network3", "link": "bond0", "type": "ipv6_slaac", "services": [], "routes": []},
        {"id": "network4", "link": "vlan7", "type": "ipv4_dhcp", "services": [], "routes": []},
    ]


@pytest.mark.parametrize(
    ("word", "type_"),
    [
        ("dhcp4", "ipv4_dhcp"),
        ("dhcp6", "ipv6_dhcp"),
        ("slaac", "ipv6_slaac"),
        ("dhcpv6-stateful", "ipv6_dhcpv6-stateful"),
        ("dhcpv6-stateless", "ipv6_dhcpv6-stateless"),
    ],
)
def test_each_way_of_getting_addresses_has_its_type(word: str, type_: str) -> None:
    data = network(f"interfaces: [{{mac: '52:54:00:00:00:01', addresses: [{word}]}}]\n")
    assert [net["type"] for net in data["networks"]] == [type_]


def test_network_data_names_stay_the_same() -> None:
    text = "interfaces: [{mac: '52:54:00:00:00:01'}]\n"
    assert network(text) == network(text)
    assert network(text) != network(text + "namespace: other\n")


# ------------------------------------------------------------------------------------- password

PASSWORD = "/openstack/2013-04-04/password"


def test_the_password_is_posted_once_and_read_back() -> None:
    guest = Guest(MINIMAL)
    before = guest.ask(PASSWORD)
    assert (before.status, before.body) == (200, b"")
    assert header(before, "Content-Type") == "text/html; charset=UTF-8"
    posted = guest.ask(PASSWORD, "POST", body=b"Y2lwaGVydGV4dA==")
    assert (posted.status, posted.body) == (200, b"")
    assert guest.ask("/openstack/latest/password").body == b"Y2lwaGVydGV4dA=="
    assert guest.ask(PASSWORD, "POST", body=b"another").status == 409
    assert guest.ask(PASSWORD).body == b"Y2lwaGVydGV4dA=="


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1020, 200), (1021, 400)])
def test_a_password_has_at_most_1020_bytes(size: int, status: int) -> None:
    guest = Guest(MINIMAL)
    assert guest.ask(PASSWORD, "POST", body=b"x" * size).status == status
    assert guest.posted == (b"x" * size if status == 200 else b"")


def test_a_conflict_comes_before_the_size() -> None:
    guest = Guest(MINIMAL)
    guest.posted = b"stored"
    assert guest.ask(PASSWORD, "POST", body=b"x" * 1021).status == 409


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_password_takes_no_other_method(method: str) -> None:
    answer = Guest(MINIMAL).ask(PASSWORD, method)
    assert answer.status == 400
    assert header(answer, "Allow") == ""


def test_other_documents_cannot_be_posted(guest: Guest) -> None:
    answer = guest.ask("/openstack/latest/meta_data.json", "POST")
    assert answer.status == 405
    assert header(answer, "Allow") == "GET, HEAD"


def test_a_closed_password_looks_posted() -> None:
    guest = Guest("name: web-1\ndialects: {openstack: {password: closed}}\n")
    assert guest.text(PASSWORD) == "closed"
    assert guest.ask(PASSWORD, "POST", body=b"x").status == 409
    assert guest.posted == b""


def test_a_guest_that_has_the_tree_has_the_ec2_one() -> None:
    assert Guest(MINIMAL).status("/latest/meta-data/") == 200


def test_without_the_dialect_its_paths_are_not_there() -> None:
    assert Guest("name: web-1\ndialects: [nocloud]\n").status("/openstack") == 404
