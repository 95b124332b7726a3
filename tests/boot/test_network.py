from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from emulator.boot import network
from emulator.boot.neighbour import MAC, Neighbour, reply
from emulator.boot.network import DEFAULT_MAC, Segment
from tests.support.guest import COMPLETE, machine

GUEST = bytes.fromhex("525400000001")


def request(wanted: str, asker: str = "10.0.0.5") -> bytes:
    head = b"\xff" * 6 + GUEST + bytes.fromhex("0806 0001 0800 06 04 0001")
    target = b"\0" * 6 + socket.inet_aton(wanted)
    return head + GUEST + socket.inet_aton(asker) + target


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


def test_a_reply_says_who_has_the_address() -> None:
    answer = reply(request("10.0.0.1"), {socket.inet_aton("10.0.0.1")})
    assert answer[:6] == GUEST
    assert answer[6:12] == MAC
    assert answer[20:22] == b"\0\2"
    assert answer[22:32] == MAC + socket.inet_aton("10.0.0.1")
    assert answer[32:42] == GUEST + socket.inet_aton("10.0.0.5")


def test_other_frames_get_no_reply() -> None:
    ours = {socket.inet_aton("10.0.0.1")}
    assert reply(request("10.0.0.2"), ours) == b""
    assert reply(request("10.0.0.1")[:41], ours) == b""
    assert reply(b"\0" * 64, ours) == b""


def test_the_neighbour_answers_on_its_descriptor_until_closed() -> None:
    neighbour = Neighbour(["10.0.0.1"])
    neighbour.start()
    with socket.socket(fileno=os.dup(neighbour.descriptor)) as qemu:
        qemu.settimeout(10)
        for frame in (request("10.0.0.2"), request("10.0.0.1")):
            qemu.sendall(len(frame).to_bytes(4) + frame)
        answer = qemu.recv(4096)
        assert int.from_bytes(answer[:4]) == len(answer) - 4 == 42
        neighbour.close()
        with contextlib.suppress(ConnectionError):
            assert qemu.recv(1) == b""


def test_an_absurd_length_ends_it() -> None:
    neighbour = Neighbour(["10.0.0.1"])
    neighbour.start()
    with socket.socket(fileno=os.dup(neighbour.descriptor)) as qemu:
        qemu.sendall(b"\xff\xff\xff\xff")
        neighbour._thread.join(10)
        assert not neighbour._thread.is_alive()
        neighbour.close()
