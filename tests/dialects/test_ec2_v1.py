from __future__ import annotations

import json

import pytest

from emulator.dialects.ec2_v1 import VERSIONS
from emulator.errors import ConfigError
from tests.support.guest import COMPLETE, ED25519, RSA, Guest, header

MINIMAL = "name: web-1\ndialects: [openstack]\n"
ROOTS = ("", "/ec2")
LEAVES = {
    "ami-launch-index": "2",
    "ami-manifest-path": "FIXME",
    "hostname": "web-1.shop.example",
    "instance-id": "i-0f0e0d0c",
    "local-ipv4": "192.0.2.10",
    "reservation-id": "r-03020100",
    "security-groups": "default\nweb",
    "public-keys/0/openssh-key": RSA,
    "public-keys/1/openssh-key": ED25519,
    "local-hostname": "web-1.shop.example",
    "public-hostname": "web-1.shop.example",
    "public-ipv4": "203.0.113.10",
    "instance-type": "m1.small",
    "block-device-mapping/ami": "vda",
    "block-device-mapping/root": "/dev/vda",
    "placement/availability-zone": "here-b",
    "instance-action": "none",
}
SINCE = {
    "local-hostname": "2007-01-19",
    "public-hostname": "2007-01-19",
    "public-ipv4": "2007-01-19",
    "instance-type": "2007-08-29",
    "block-device-mapping/ami": "2007-12-15",
    "block-device-mapping/root": "2007-12-15",
    "placement/availability-zone": "2008-02-01",
    "instance-action": "2008-09-01",
}


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(COMPLETE)


@pytest.mark.parametrize("path", ["/", "/ec2", "/ec2/", "//"])
def test_the_root_lists_versions(guest: Guest, path: str) -> None:
    answer = guest.ask(path)
    assert answer.body.decode() == (
        "1.0\n2007-01-19\n2007-03-01\n2007-08-29\n2007-10-10\n2007-12-15\n2008-02-01\n"
        "2008-09-01\n2009-04-04\nlatest"
    )
    assert header(answer, "Content-Type") == "text/plain; charset=UTF-8"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("root", ROOTS)
def test_each_version_has_its_leaves(guest: Guest, root: str, version: str) -> None:
    for name, value in LEAVES.items():
        path = f"{root}/{version}/meta-data/{name}"
        if SINCE.get(name, "") <= version:
            assert guest.text(path) == value
        else:
            assert guest.status(path) == 404


def test_directories_are_listed_sorted_with_slashes(guest: Guest) -> None:
    assert guest.text("/latest") == "meta-data/\nuser-data"
    assert guest.text("/latest/meta-data/").split("\n") == [
        "ami-id",
        "ami-launch-index",
        "ami-manifest-path",
        "block-device-mapping/",
        "hostname",
        "instance-action",
        "instance-id",
        "instance-type",
        "local-hostname",
        "local-ipv4",
        "placement/",
        "public-hostname",
        "public-ipv4",
        "public-keys/",
        "reservation-id",
        "security-groups",
    ]
    assert guest.text("/1.0/meta-data").split("\n") == [
        "ami-id",
        "ami-launch-index",
        "ami-manifest-path",
        "hostname",
        "instance-id",
        "local-ipv4",
        "public-keys/",
        "reservation-id",
        "security-groups",
    ]
    assert guest.text("/latest//meta-data/placement/") == "availability-zone"


def test_a_key_s_name_has_no_equals_sign(guest: Guest) -> None:
    assert guest.text("/latest/meta-data/public-keys/") == "0=opskey\n1=dev"
    assert guest.text("/latest/meta-data/public-keys/0/") == "openssh-key"


def test_the_image_has_an_id_of_its_own(guest: Guest) -> None:
    image = guest.text("/latest/meta-data/ami-id")
    assert image != Guest(MINIMAL).text("/latest/meta-data/ami-id")
    assert (image[:4], len(image)) == ("ami-", 12)


def test_user_data_is_there_when_set(guest: Guest) -> None:
    assert guest.text("/latest/user-data") == guest.text("/openstack/latest/user_data")
    minimal = Guest(MINIMAL)
    assert minimal.text("/latest/") == "meta-data/"
    assert minimal.status("/latest/user-data") == 404
    assert Guest(MINIMAL + 'user_data: ""\n').status("/latest/user-data") == 404


def test_what_is_unknown_is_absent() -> None:
    guest = Guest(MINIMAL + "security_groups: []\n")
    listed = guest.text("/latest/meta-data").split("\n")
    for name in ("local-ipv4", "public-ipv4", "public-keys", "kernel-id", "security-groups"):
        assert not {name, f"{name}/"} & set(listed)
        assert guest.status(f"/latest/meta-data/{name}") == 404


def test_without_static_addresses_it_has_the_one_that_it_asks_from() -> None:
    guest = Guest(MINIMAL + "peer: {addresses: ['2001:db8::5', 192.0.2.7, 192.0.2.8]}\n")
    assert guest.text("/latest/meta-data/local-ipv4") == "192.0.2.7"


def test_its_own_section_adds_what_no_other_dialect_has() -> None:
    guest = Guest(
        MINIMAL
        + "ec2_v1: {kernel_id: aki-1, ramdisk_id: ari-1,"
        + " block_devices: {ami: sda1, ephemeral0: sdb, swap: sdc, ebs1: sdd}}\n"
    )
    assert guest.text("/latest/meta-data/kernel-id") == "aki-1"
    assert guest.text("/2007-12-15/meta-data/ramdisk-id") == "ari-1"
    assert guest.status("/2007-10-10/meta-data/ramdisk-id") == 404
    mapping = guest.text("/latest/meta-data/block-device-mapping/")
    assert mapping == "ami\nebs1\nephemeral0\nswap"


def test_a_block_device_has_one_of_nova_s_roles() -> None:
    with pytest.raises(ConfigError, match="block_devices"):
        Guest(MINIMAL + "ec2_v1: {block_devices: {floppy: fd0}}\n")


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("root", ROOTS)
def test_there_is_no_session_token_whatever_the_method(
    guest: Guest, root: str, method: str
) -> None:
    answer = guest.ask(
        f"{root}/latest/api/token", method, {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    assert answer.status == 404
    assert header(answer, "Allow") == ""


def test_other_methods_are_refused(guest: Guest) -> None:
    answer = guest.ask("/latest/meta-data/", "PUT")
    assert (answer.status, header(answer, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/latest/meta-data/service-offering",
        "/latest/meta-data/cloud-identifier",
        "/latest/dynamic",
        "/latest/dynamic/instance-identity/document",
        "/latest/meta-data/public-keys/0=opskey",
        "/2021-03-23/meta-data/",
    ],
)
def test_what_nova_does_not_have_is_not_found(guest: Guest, path: str) -> None:
    assert guest.status(path) == 404


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("a=b", "ab"),
        ("foo/", "foo"),
        ("a\u2028b\u2029c", "a b c"),
        ("=", "key"),
        ("ops key", "ops key"),
    ],
)
def test_a_keys_name_breaks_no_listing(name: str, listed: str) -> None:
    guest = Guest(f"name: a\npublic_keys: [{{name: {json.dumps(name)}, key: {ED25519}}}]")
    keys = "/latest/meta-data/public-keys/"
    assert guest.ask(keys).body.decode() == f"0={listed}"
    assert guest.ask(f"{keys}0/openssh-key").body.startswith(b"ssh-ed25519")
