"""``emulator.credentials``: keys that look real and work nowhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from emulator.core.credentials import RoleCredentials
from emulator.credentials.generated import generate
from emulator.credentials.moments import span
from emulator.errors import CredentialsUnavailable, StartError
from emulator.model.credentials import AwsCredentials
from tests.credentials.conftest import VM, Bench, Shows, wait

ROLE = AwsCredentials(role="web")


def test_they_are_well_formed(bench: Bench, shows_none: Shows) -> None:
    found: RoleCredentials = wait(bench.credentials.get(VM, ROLE))
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", found.access_key_id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", found.secret_access_key)
    assert re.fullmatch(r"IQoJb3JpZ2luX2Vj[A-Za-z0-9+/]{900,1100}={0,2}", found.token)
    assert found.updated <= bench.clock.now < found.expires
    secrets = [found.access_key_id, found.secret_access_key, found.token]
    shows_none(secrets, found, [found])


def test_servers_with_one_key_agree_and_machines_differ(bench: Bench) -> None:
    first = wait(bench.credentials.get(VM, ROLE))
    assert wait(bench.made(processes=False).get(VM, ROLE)) == first
    others = [
        wait(bench.credentials.get(replace(VM, uuid=VM.uuid.replace("1", "2")), ROLE)),
        wait(bench.credentials.get(VM, replace(ROLE, role="db"))),
        wait(bench.credentials.get(VM, replace(ROLE, lifetime=7200))),
    ]
    bench.key = b"another"
    others.append(wait(bench.credentials.get(VM, ROLE)))
    assert len({found.secret_access_key for found in (first, *others)}) == 5


def test_they_rotate_when_half_of_their_life_is_over(bench: Bench) -> None:
    bench.clock.now = 1_800_000_000.0
    found = [wait(bench.credentials.get(VM, ROLE))]
    for _ in range(4):
        bench.clock.advance(900)
        found.append(wait(bench.credentials.get(VM, ROLE)))
    assert [keys.expires - 1_800_000_000 for keys in found] == [3600, 3600, 5400, 5400, 7200]
    assert len({keys.access_key_id for keys in found}) == 3


@given(lifetime=st.integers(900, 43_200), now=st.floats(1e9, 4e9))
def test_enough_of_their_life_is_always_left(lifetime: int, now: float) -> None:
    since, until = span(lifetime, now)
    assert since <= now < until
    assert until - since == lifetime
    wanted = max(1200, lifetime / 2) if lifetime >= 2400 else min(1200, lifetime - 60)
    assert until - now >= wanted
    assert generate(b"k", "u", "r", lifetime, now) == generate(b"k", "u", "r", lifetime, since)


def test_without_a_key_there_are_none(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.key = StartError("the state folder is full")
    with pytest.raises(CredentialsUnavailable) as error:
        wait(bench.credentials.get(VM, ROLE))
    assert (str(error.value), error.value.code) == ("the role's keys cannot be made", "Failed")
    assert caplog.messages == [
        (
            "default/web-1: no keys of the role web: the role's keys cannot be made "
            "(the state folder is full)"
        )
    ]
