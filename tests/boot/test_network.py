from __future__ import annotations

from pathlib import Path

from emulator.boot import network
from emulator.boot.network import DEFAULT_MAC, Segment
from tests.support.guest import COMPLETE, machine


def test_a_machine_without_interfaces_has_one_card() -> None:
    assert network.segments(machine("name: a")) == (Segment((DEFAULT_MAC,)),)
    assert network.gateways(machine("name: a")) == ()


def test_a_bond_keeps_its_members_together_and_vlans_have_no_card() -> None:
    complete = machine(COMPLETE)
    assert network.segments(complete) == (
        Segment(("52:54:00:00:00:01",)),
        Segment(("52:54:00:00:00:02", "52:54:00:00:00:03")),
    )


def test_routers_of_the_first_link_are_played_those_of_ipv6_not() -> None:
    assert network.gateways(machine(COMPLETE)) == ("192.0.2.1", "192.0.2.2")


def test_only_dhcp_on_the_first_link_gets_an_address() -> None:
    assert network.gets_address(machine("name: a"))
    card = "- mac: 52:54:00:00:00:0{}\n  addresses: [{}]\n"
    dhcp, static = "dhcp4, 10.0.0.6/24", "10.0.0.5/24"
    head = "name: a\ninterfaces:\n"
    assert network.gets_address(machine(head + card.format(1, dhcp) + card.format(2, static)))
    assert not network.gets_address(machine(head + card.format(1, static) + card.format(2, dhcp)))
    bond = """\
- {name: a, mac: "52:54:00:00:00:01"}
- {name: b, mac: "52:54:00:00:00:02"}
- {name: c, bond: {links: [a, b]}, addresses: [dhcp4]}
"""
    assert network.gets_address(machine(head + bond))


def test_a_router_in_the_metadata_network_is_qemus_own() -> None:
    text = (
        "name: a\ninterfaces:\n- mac: 52:54:00:00:00:01\n  addresses: [169.254.3.4/16]\n"
        "  gateways: [169.254.1.1]\n"
    )
    assert network.gateways(machine(text)) == ()


def test_a_bonds_routers_count_when_it_is_the_first_link() -> None:
    text = """\
name: a
interfaces:
- {mac: "52:54:00:00:00:01", name: eth0, addresses: []}
- {mac: "52:54:00:00:00:02", name: eth1, addresses: []}
- name: bond0
  bond: {links: [eth0, eth1]}
  addresses: [10.0.0.5/24]
  gateways: [10.0.0.1]
- {mac: "52:54:00:00:00:03", name: eth2, addresses: [10.1.0.5/24], gateways: []}
"""
    assert network.gateways(machine(text)) == ("10.0.0.1",)
    assert [len(segment.macs) for segment in network.segments(machine(text))] == [2, 1]


def test_the_bridge_starts_an_isolated_interpreter() -> None:
    interpreter, isolated, bare, program, path = network.bridge_command("/run/s")
    assert (isolated, bare, path) == ("-I", "-S", "/run/s")
    assert not Path(interpreter).is_symlink()
    assert Path(program).name == "bridge.py"


def test_the_network_is_as_wide_as_its_addresses_want() -> None:
    assert str(network.holding(())) == "169.254.0.0/16"
    assert str(network.holding(["169.254.3.4"])) == "169.254.0.0/16"
    assert str(network.holding(["168.63.129.16"])) == "168.0.0.0/7"
    assert str(network.holding(["10.0.0.1", "168.63.129.16"])) == "0.0.0.0/0"


def test_a_router_in_the_wide_network_alone_is_played() -> None:
    text = (
        "name: a\ndialects: [azure]\ninterfaces:\n- mac: 52:54:00:00:00:01\n"
        "  addresses: [168.1.0.5/24]\n  gateways: [168.1.0.1]\n"
    )
    assert network.gateways(machine(text)) == ("168.1.0.1",)
