"""What ignition and afterburn ask an OpenStack image for, read in their sources (contract 1.6).

Neither can be had from a registry here, so their requests stand as tables. Both take 200 and 404
alone for answers: anything else is retried, by ignition for ever.
"""

from __future__ import annotations

import pytest

from tests.support.guest import COMPLETE, ED25519, RSA, Guest

AFTERBURN = {
    "/openstack/2012-08-10/meta_data.json": None,
    "/latest/meta-data/hostname": "web-1.shop.example",
    "/latest/meta-data/instance-id": "i-0f0e0d0c",
    "/latest/meta-data/instance-type": "m1.small",
    "/latest/meta-data/local-ipv4": "192.0.2.10",
    "/latest/meta-data/public-ipv4": "203.0.113.10",
    "/latest/meta-data/public-keys": "0=opskey\n1=dev",
    "/latest/meta-data/public-keys/0/openssh-key": RSA,
    "/latest/meta-data/public-keys/1/openssh-key": ED25519,
}
IGNITION = "/openstack/latest/user_data"


@pytest.mark.parametrize("path", AFTERBURN)
def test_afterburn_finds_what_it_knows(path: str) -> None:
    text = Guest(COMPLETE).text(path)
    assert text == AFTERBURN[path] or AFTERBURN[path] is None
    assert Guest("name: web-1\n").status(path) in {200, 404}


def test_afterburn_splits_each_key_s_line_at_its_only_equals_sign() -> None:
    for line in Guest(COMPLETE).text("/latest/meta-data/public-keys").split("\n"):
        assert line.count("=") == 1


def test_afterburn_reads_the_uuid() -> None:
    data = Guest(COMPLETE).json("/openstack/2012-08-10/meta_data.json")
    assert data["uuid"] == "0f0e0d0c-0b0a-4908-8706-050403020100"


def test_ignition_gets_its_configuration_or_404() -> None:
    config = '{"ignition": {"version": "3.4.0"}}'
    guest = Guest(f"name: web-1\nuser_data: '{config}'\n")
    assert guest.ask(IGNITION).body == config.encode()
    assert Guest("name: web-1\n").status(IGNITION) == 404
