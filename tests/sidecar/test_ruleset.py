"""The rules as text: what they name, and that the kernel takes them."""

from __future__ import annotations

import re

import pytest

from emulator.errors import StartError
from emulator.sidecar import nft
from emulator.sidecar.addresses import DEVICE, METADATA, host, versions
from emulator.sidecar.ruleset import MAC, PLUG, cable, guard
from tests.support.namespaces import Namespace

DOOR = "168.63.129.16"


def test_addresses_are_told_apart() -> None:
    assert versions((*METADATA, DOOR)) == (("169.254.169.254", DOOR), METADATA[1:])
    assert [host(address) for address in METADATA] == [*METADATA[:2], f"{METADATA[2]}%{DEVICE}"]


def test_the_cable_joins_one_tap_for_our_addresses() -> None:
    rules = cable((*METADATA, DOOR), "tap7")
    assert set(re.findall(r'(?:device|fwd to) "(\w+)"', rules)) == {"tap7", PLUG}
    assert (
        f"ip daddr {{ 169.254.169.254, {DOOR} }} update @from4 {{ ip saddr }} goto ours" in rules
    )
    assert f'ether daddr set {MAC} fwd to "{PLUG}"' in rules
    # nft 1.0.6 has no word for what a neighbour is asked for.
    assert "@th,64,128 { 0xfd000ec2000000000000000000000254, 0xfe80000000000000" in rules


def test_the_device_is_sent_nothing_but_by_its_own_address() -> None:
    # So that no two devices of a pod can have it: it is locally administered, and of one machine.
    first = int(MAC[:2], 16)
    assert (first & 2, first & 1) == (2, 0)


def test_the_guard_names_every_way_in() -> None:
    rules = guard(METADATA, ("one", "two"))
    assert rules.count('"one", "two"') == 4
    assert DOOR not in rules


@pytest.mark.namespace
def test_the_kernel_takes_them_again_and_again() -> None:
    rules = cable((*METADATA, DOOR), "tap0") + guard((*METADATA, DOOR))
    with Namespace() as pod:
        pod.ip(f"link add {PLUG} type veth peer name {DEVICE}", "link add tap0 type bridge")
        pod.nft(rules)
        before = pod.run("nft", "list", "ruleset")
        pod.nft(rules)
        assert pod.run("nft", "list", "ruleset") == before
        tables = re.findall(r"^table (\w+ \w+)", before, re.MULTILINE)
        assert sorted(tables) == ["arp imds", "inet imds", "netdev imds"]


def test_nfts_own_words_are_told() -> None:
    # Nobody may change a network here, and the text is wrong, too.
    with pytest.raises(StartError, match=r"nft does not take the rules: .*syntax error"):
        nft.load("table nonsense {")


def test_a_missing_nft_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartError, match=r"cannot run nft: .*; install nftables"):
        nft.load("")
