"""What nobody wrote is derived, stably, and never to a guest's harm."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.model import derive
from emulator.model.instance import Instance

Load = Callable[[str], Instance]

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,80}[A-Za-z0-9])?", fullmatch=True)
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


@pytest.mark.parametrize(
    ("uuid", "expected"),
    [
        ("ec2f0000-0000-0000-0000-000000000000", True),
        ("00002fec-0000-0000-0000-000000000000", True),
        ("00003fec-0000-0000-0000-000000000000", False),
        ("0ec20000-0000-0000-0000-000000000000", False),
        ("0000-2fec", False),
    ],
)
def test_what_guests_take_for_ec2(uuid: str, expected: bool) -> None:  # noqa: FBT001
    assert derive.looks_like_ec2(uuid) is expected


def test_no_derived_uuid_looks_like_ec2() -> None:
    uuids = [derive.complete(Instance(name=f"vm-{n}")).uuid for n in range(5000)]
    assert len(set(uuids)) == 5000
    assert not any(map(derive.looks_like_ec2, uuids))
    # Some of them would have: the counter is needed.
    first = [str(uuid5(derive.NAMESPACE, f"instance/default/vm-{n}")) for n in range(5000)]
    assert any(map(derive.looks_like_ec2, first))
    assert sum(a != b for a, b in zip(uuids, first, strict=True)) == sum(
        map(derive.looks_like_ec2, first)
    )


def test_a_chosen_uuid_is_kept_even_if_it_looks_like_ec2(loaded: Load) -> None:
    chosen = "EC2A1B2C-0000-4000-8000-000000000001"
    assert loaded(f"name: a\nuuid: {chosen}").uuid == chosen.lower()


def test_namespaces_keep_machines_and_projects_apart() -> None:
    one, two = (derive.complete(Instance(name="a", namespace=n)) for n in ("x", "y"))
    assert one.uuid != two.uuid
    assert one.project != two.project


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web-1", "web-1"),
        ("Web_1.example", "Web-1.example"),
        ("a..b", "a.b"),
        ("a.-b-.c", "a.b.c"),
        ("a.-.c", "a.c"),
        ("123", "vm-123"),
        ("10.0.0.5", "vm-10-0-0-5"),
        ("x" * 70, "x" * 63),
    ],
)
def test_host_names_are_made_from_names(name: str, hostname: str) -> None:
    assert derive.complete(Instance(name=name)).hostname == hostname


@given(NAMES)
def test_any_name_gives_a_host_name_that_would_be_accepted(name: str) -> None:
    import re

    hostname = derive.complete(Instance(name=name)).hostname
    assert re.fullmatch(rf"{LABEL}(\.{LABEL})*", hostname)
    assert not hostname.rpartition(".")[2].isdecimal()


def test_interfaces_get_names_and_addresses_their_canonical_spelling(loaded: Load) -> None:
    instance = loaded("""\
name: a
interfaces:
  - {mac: 52:54:00:00:00:0A}
  - {name: eth2, mac: 52:54:00:00:00:0b}
  - mac: 52:54:00:00:00:0c
    addresses: [10.0.0.5/24, "2001:DB8:0::5/64"]
    gateways: [10.0.0.1, "FE80:0::1"]
    routes: [{to: "2001:DB8:FF:0::/64", via: "2001:DB8::0:1"}]
    dns: ["2001:DB8::0:53"]
    public_addresses: ["2001:DB8::0:9"]
  - {mac: 52:54:00:00:00:0d}
""")
    assert [link.name for link in instance.interfaces] == ["eth0", "eth2", "eth3", "eth4"]
    link = instance.interfaces[2]
    assert instance.interfaces[0].mac == "52:54:00:00:00:0a"
    assert link.addresses == ("10.0.0.5/24", "2001:db8::5/64")
    assert link.gateways == ("10.0.0.1", "fe80::1")
    assert (link.routes[0].to, link.routes[0].via) == ("2001:db8:ff::/64", "2001:db8::1")
    assert (link.dns, link.public_addresses) == (("2001:db8::53",), ("2001:db8::9",))
    assert instance.peer.addresses == ("10.0.0.5", "2001:db8::5")


def test_bonds_and_vlans_take_their_carriers_mac(loaded: Load) -> None:
    instance = loaded("""\
name: a
interfaces:
  - {name: v2, vlan: {link: v1, id: 2}}
  - {name: v1, vlan: {link: b, id: 1}}
  - {name: b, bond: {links: [eth0, eth1]}, addresses: [slaac]}
  - {mac: 52:54:00:00:00:0A}
  - {mac: 52:54:00:00:00:0b}
""")
    macs = {link.name: link.mac for link in instance.interfaces}
    assert macs["v2"] == macs["v1"] == macs["b"] == macs["eth0"] == "52:54:00:00:00:0a"
    addresses = {link.name: link.addresses for link in instance.interfaces}
    assert addresses["eth0"] == addresses["eth1"] == ()
    assert addresses["b"] == ("slaac",)
    assert [link.type for link in instance.interfaces[:3]] == ["vlan", "vlan", "bond"]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("", ("10.0.0.5",)),
        ("peer: {addresses: ['2001:DB8::0:1']}", ("2001:db8::1",)),
        ("peer: {socket: s}", ()),
    ],
)
def test_static_addresses_tell_a_machine_unless_something_else_does(
    peer: str, expected: tuple[str, ...], loaded: Load
) -> None:
    link = "interfaces: [{mac: 52:54:00:00:00:01, addresses: [dhcp6, 10.0.0.5/24]}]"
    assert loaded(f"name: a\n{link}\n{peer}").peer.addresses == expected


@pytest.mark.parametrize("address", ["10.0.0.5/32", "10.0.0.4/31", "2001:db8::/127"])
def test_the_last_two_prefixes_have_hosts_only(address: str, loaded: Load) -> None:
    text = f"name: a\ninterfaces: [{{mac: 52:54:00:00:00:01, addresses: ['{address}']}}]"
    assert loaded(text).interfaces[0].addresses == (address,)


@given(st.sampled_from(["a", "b"]), NAMES)
def test_deriving_twice_changes_nothing(namespace: str, name: str) -> None:
    once = derive.complete(Instance(name=name, namespace=namespace))
    assert derive.complete(once) == once
