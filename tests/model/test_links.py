from __future__ import annotations

import pytest

from emulator.model.instance import Instance, Interface, Peer, Route
from emulator.model.links import (
    METHODS,
    links,
    local_addresses,
    name_servers,
    public_addresses,
)
from emulator.model.network import AUTOMATIC


def with_nics(*nics: Interface, peer: Peer | None = None) -> Instance:
    return Instance(name="a", interfaces=nics, peer=peer or Peer())


def routes(nic: Interface) -> list[list[str]]:
    (link,) = links(with_nics(nic))
    return [
        [f"{hop.network} {hop.gateway} {hop.metric}" for hop in subnet.routes]
        for subnet in link.subnets
    ]


def test_every_word_of_the_vocabulary_is_known() -> None:
    assert set(METHODS) == set(AUTOMATIC)


def test_a_link_is_its_interface_with_addresses_sorted_out() -> None:
    nic = Interface(name="eth0", mac="52:54:00:00:00:01", addresses=("10.0.0.5/24", "slaac"))
    (link,) = links(with_nics(nic))
    assert (link.id, link.type, link.mac, link.interface) == ("eth0", "physical", nic.mac, nic)
    static, slaac = link.subnets
    assert (static.method, static.version, str(static.address)) == ("static", 4, "10.0.0.5/24")
    assert (slaac.method, slaac.version, slaac.address) == ("slaac", 6, None)


def test_name_servers_go_to_the_subnets_of_their_version() -> None:
    nic = Interface(
        addresses=("dhcp4", "dhcp6"), dns=("10.0.0.1", "fd00::1"), search=("b.example",)
    )
    (link,) = links(with_nics(nic))
    assert [subnet.dns for subnet in link.subnets] == [("10.0.0.1",), ("fd00::1",)]
    assert [subnet.search for subnet in link.subnets] == [("b.example",), ()]
    assert name_servers(with_nics(nic, nic)) == ("10.0.0.1", "fd00::1")


def test_a_route_stands_with_the_address_that_reaches_its_gateway() -> None:
    nic = Interface(
        addresses=("10.0.0.5/24", "10.0.1.5/24"),
        gateways=("10.0.1.1",),
        routes=(Route(to="10.9.0.0/16", via="10.0.0.9", metric=7),),
    )
    assert routes(nic) == [["10.9.0.0/16 10.0.0.9 7"], ["0.0.0.0/0 10.0.1.1 0"]]


@pytest.mark.parametrize("address", ["fd00::5/64", "slaac"])
def test_a_gateway_that_no_address_reaches_stands_with_the_first_of_its_version(
    address: str,
) -> None:
    nic = Interface(addresses=("dhcp4", address), gateways=("fe80::1",))
    assert routes(nic) == [[], ["::/0 fe80::1 0"]]


def test_a_route_of_a_version_without_addresses_stands_nowhere() -> None:
    assert routes(Interface(addresses=("dhcp4",), gateways=("fe80::1",))) == [[]]


def test_addresses_are_those_described_else_those_asked_from() -> None:
    peer = Peer(addresses=("192.0.2.7", "2001:db8::7"))
    described = with_nics(Interface(addresses=("dhcp6", "10.0.0.5/24")), peer=peer)
    assert local_addresses(described, 4) == ("10.0.0.5",)
    assert local_addresses(described, 6) == ("2001:db8::7",)
    assert local_addresses(with_nics(), 4) == ()


def test_public_addresses_are_sorted_by_version() -> None:
    nic = Interface(public_addresses=("203.0.113.1", "2001:db8::1"))
    assert public_addresses(with_nics(nic), 4) == ("203.0.113.1",)
    assert public_addresses(with_nics(nic), 6) == ("2001:db8::1",)
