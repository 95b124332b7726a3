"""A machine is told by proxy, socket or address, and by nothing that a guest can claim."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.policy import Refusal
from emulator.server.fleet import Fleet, plain
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from tests.server.support import Bench

SECRET = b"shared"
PROXY = "192.0.2.7"
NO_PROXIES = Proxies(frozenset(), b"")
ONE = """
name: one
project: p1
peer: {addresses: [10.0.0.1], socket: /run/one}
"""
TWO = """
name: two
interfaces: [{mac: "52:54:00:00:00:02", addresses: [10.0.0.2/24, "fd00::2/64"]}]
"""
THIEF = """
name: a-thief
peer: {addresses: [10.0.0.9]}
interfaces: [{mac: "52:54:00:00:00:03", addresses: [10.0.0.2/24]}]
"""


@pytest.fixture
def machines(tmp_path: Path) -> list[Machine]:
    bench = Bench(tmp_path)
    return [bench.machine(ONE), bench.machine(TWO)]


def found(fleet: Fleet, socket: str, address: str, headers: HTTPHeaders | None = None) -> str:
    """Give the name of the machine, or the refusal."""
    result = fleet.find(socket, address, headers or HTTPHeaders())
    return result if isinstance(result, Refusal) else result[0].instance.name


def test_the_only_machine_answers_whoever_asks(machines: list[Machine]) -> None:
    fleet = Fleet(machines[:1], sole=True, proxies=NO_PROXIES)
    assert found(fleet, "", "203.0.113.9") == "one"


def test_several_are_told_apart_by_socket_and_address(machines: list[Machine]) -> None:
    fleet = Fleet(machines, sole=False, proxies=NO_PROXIES)
    assert found(fleet, "", "10.0.0.1") == "one"
    assert found(fleet, "", "10.0.0.2") == "two"
    assert found(fleet, "", "::ffff:10.0.0.2") == "two"
    assert found(fleet, "", "FD00::2%eth0") == "two"
    assert found(fleet, "/run/one", "") == "one"
    assert fleet.sockets == {"/run/one"}


def test_an_interfaces_address_takes_nobodys_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fleet = Fleet(map(bench.machine, (THIEF, TWO)), sole=False, proxies=NO_PROXIES)
    assert found(fleet, "", "10.0.0.2") == "two"


def test_a_machine_with_a_socket_is_asked_for_there_alone(tmp_path: Path) -> None:
    text = TWO + "peer: {socket: /run/two}"
    fleet = Fleet([Bench(tmp_path).machine(text)], sole=False, proxies=NO_PROXIES)
    assert found(fleet, "/run/two", "") == "two"
    assert found(fleet, "", "10.0.0.2") == Refusal.UNKNOWN_VM


def test_strangers_are_refused_whatever_they_claim(machines: list[Machine]) -> None:
    fleet = Fleet(machines, sole=False, proxies=NO_PROXIES)
    claim = HTTPHeaders({"X-Forwarded-For": "10.0.0.1", "X-Instance-ID": "x"})
    assert found(fleet, "", "10.0.0.9", claim) == Refusal.UNKNOWN_VM
    assert found(fleet, "/run/other", "") == Refusal.UNKNOWN_VM


def test_without_machines_everybody_is_a_stranger() -> None:
    assert found(Fleet([], sole=True, proxies=NO_PROXIES), "", "::1") == Refusal.UNKNOWN_VM


def sign(message: str) -> str:
    return hmac.new(SECRET, message.encode(), "sha256").hexdigest()


def claims(machine: Machine, **changes: str) -> HTTPHeaders:
    """Give the headers of Neutron's agent for ``machine``, with ``changes``; empty drops one."""
    uuid = machine.instance.uuid
    headers = {
        "X-Instance-ID": uuid,
        "X-Tenant-ID": machine.instance.project,
        "X-Instance-ID-Signature": sign(uuid),
        "X-Forwarded-For": "10.0.0.1",
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return HTTPHeaders({name: value for name, value in headers.items() if value})


def proxied(machines: list[Machine], headers: HTTPHeaders) -> str:
    fleet = Fleet(machines, sole=True, proxies=Proxies(frozenset({PROXY}), SECRET))
    return found(fleet, "", PROXY, headers)


def test_a_signed_claim_is_believed(machines: list[Machine]) -> None:
    assert proxied(machines, claims(machines[1])) == "two"


def test_a_proxy_may_ask_by_any_name(machines: list[Machine]) -> None:
    fleet = Fleet(machines, sole=True, proxies=Proxies(frozenset({PROXY}), SECRET))
    result = fleet.find("", PROXY, claims(machines[1], Host="nova.example", Metadata="true"))
    assert not isinstance(result, Refusal)
    assert list(result[1].get_all()) == [("Metadata", "true")]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"X_Instance_ID": ""}, Refusal.PROXY_INCOMPLETE),
        ({"X_Tenant_ID": ""}, Refusal.PROXY_INCOMPLETE),
        ({"X_Instance_ID_Signature": ""}, Refusal.PROXY_INCOMPLETE),
        ({"X_Forwarded_For": ""}, Refusal.PROXY_INCOMPLETE),
        ({"X_Instance_ID_Signature": "0" * 64}, Refusal.PROXY_FORGED),
        ({"X_Instance_ID_Signature": "\xe9"}, Refusal.PROXY_FORGED),
        ({"X_Tenant_ID": "other"}, Refusal.UNKNOWN_VM),
        (
            {"X_Instance_ID": "nobody", "X_Instance_ID_Signature": sign("nobody")},
            Refusal.UNKNOWN_VM,
        ),
    ],
)
def test_a_claim_that_is_not_whole_and_true_is_refused(
    machines: list[Machine], changes: dict[str, str], refusal: Refusal
) -> None:
    assert proxied(machines, claims(machines[0], **changes)) == refusal


def test_a_header_given_twice_is_refused(machines: list[Machine]) -> None:
    headers = claims(machines[0])
    headers.add("X-Forwarded-For", "10.0.0.2")
    assert proxied(machines, headers) == Refusal.PROXY_INCOMPLETE


def test_the_same_claim_from_anyone_else_is_not_read(machines: list[Machine]) -> None:
    fleet = Fleet(machines, sole=False, proxies=Proxies(frozenset({PROXY}), SECRET))
    assert found(fleet, "", "192.0.2.8", claims(machines[0])) == Refusal.UNKNOWN_VM


def test_a_load_balancers_claim_names_the_address(machines: list[Machine]) -> None:
    headers = HTTPHeaders(
        {
            "X-Metadata-Provider": "lb",
            "X-Metadata-Provider-Signature": sign("lb"),
            "X-Forwarded-For": "10.0.0.2, 192.0.2.1",
        }
    )
    assert proxied(machines, headers) == "two"
    headers["X-Metadata-Provider-Signature"] = "0"
    assert proxied(machines, headers) == Refusal.PROXY_FORGED


def test_what_carried_the_identity_is_taken_out(machines: list[Machine]) -> None:
    headers = claims(machines[0], Metadata="true")
    fleet = Fleet(machines, sole=False, proxies=Proxies(frozenset({PROXY}), SECRET))
    result = fleet.find("", PROXY, headers)
    assert not isinstance(result, Refusal)
    assert result[1].get_list("X-Forwarded-For") == []
    assert result[1].get_list("Metadata") == ["true"]


def test_an_address_has_one_spelling() -> None:
    assert plain("::FFFF:10.0.0.1") == "10.0.0.1"
    assert plain("fe80::1%eth0") == "fe80::1"
