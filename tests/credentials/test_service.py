"""``emulator.credentials``: exchanges with STS, over the time of a machine."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import msgspec
import pytest

from emulator.core.credentials import RoleCredentials
from emulator.credentials import exchanges
from emulator.errors import CredentialsUnavailable, StartError, TokenUnavailable
from emulator.model.credentials import AwsCredentials
from emulator.model.instance import Instance, Token
from tests.credentials.conftest import TOKEN, VM, Bench, Shows
from tests.credentials.sts import Sts

ARN = "arn:aws:iam::123456789012:role/web"


def config(sts: Sts) -> AwsCredentials:
    return AwsCredentials(role="web", provider="web-identity", role_arn=ARN, endpoint=sts.url)


def get(bench: Bench, wanted: AwsCredentials, instance: Instance = VM) -> RoleCredentials:
    """Ask, and let the exchange that this may have begun come to its end."""

    async def main() -> RoleCredentials:
        found = await bench.credentials.get(instance, wanted)
        await bench.settled()
        return found

    found: RoleCredentials = asyncio.run(main())
    bench.work.clear()
    return found


def refused(bench: Bench, wanted: AwsCredentials) -> CredentialsUnavailable:
    with pytest.raises(CredentialsUnavailable) as error:
        get(bench, wanted)
    bench.work.clear()
    return error.value


def test_a_hundred_callers_are_one_exchange(bench: Bench, sts: Sts, shows_none: Shows) -> None:
    async def main() -> list[RoleCredentials]:
        return await asyncio.gather(*(bench.credentials.get(VM, config(sts)) for _ in range(100)))

    found = asyncio.run(main())
    assert len(sts.asked) == 1
    assert set(map(id, found)) == {id(found[0])}
    assert found[0].account == "123456789012"
    assert bench.audiences == ["sts.amazonaws.com"]
    shows_none([TOKEN, found[0].secret_access_key, found[0].token], found[0])


def test_one_that_hangs_up_does_not_end_it_for_others(bench: Bench, sts: Sts) -> None:
    sts.gate.clear()

    async def main() -> RoleCredentials:
        first, second = (
            asyncio.ensure_future(bench.credentials.get(VM, config(sts))) for _ in range(2)
        )
        await asyncio.sleep(0.05)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        sts.gate.set()
        return await second

    assert asyncio.run(main()).access_key_id
    assert len(sts.asked) == 1


def test_new_keys_are_got_before_the_old_ones_end(bench: Bench, sts: Sts) -> None:
    first = get(bench, config(sts))
    life = first.expires - bench.clock.now
    assert life > exchanges.EARLY
    bench.clock.advance(life - exchanges.EARLY - 5)
    assert get(bench, config(sts)) is first
    assert len(sts.asked) == 1
    bench.clock.advance(10)
    # This guest is not kept waiting; the next one has the new keys.
    assert get(bench, config(sts)) is first
    assert get(bench, config(sts)) is not first
    assert len(sts.asked) == 2


def test_good_keys_are_served_while_sts_is_down(bench: Bench, sts: Sts) -> None:
    first = get(bench, config(sts))
    sts.stop()
    try:
        for minutes in (45, 5, 5):
            bench.clock.advance(minutes * 60)
            assert get(bench, config(sts)) is first
    finally:
        sts.start()
    bench.clock.advance(120)
    assert get(bench, config(sts)) is first
    assert get(bench, config(sts)) is not first


def test_keys_that_have_ended_are_not_served(bench: Bench, sts: Sts) -> None:
    get(bench, config(sts))
    sts.stop()
    bench.clock.advance(3601)
    error = refused(bench, config(sts))
    sts.start()
    assert (str(error), error.code) == ("STS does not answer", "Failed")


@pytest.mark.parametrize("day", [86_400, -86_400])
def test_keys_live_no_longer_by_a_clock_that_is_set(bench: Bench, sts: Sts, day: int) -> None:
    first = get(bench, config(sts))
    sts.stop()
    try:
        bench.clock.set_by = day
        if day > 0:
            # By what the clock says they have ended; set right, they are good again.
            refused(bench, config(sts))
            bench.clock.set_by = 0
        bench.clock.advance(3540)
        assert get(bench, config(sts)) is first
        bench.clock.advance(61)
        refused(bench, config(sts))
    finally:
        sts.start()


def test_tries_that_fail_come_ever_later(bench: Bench, sts: Sts) -> None:
    sts.deny("InternalFailure")
    began = bench.clock.now
    tries: list[float] = []
    for _ in range(400):
        refused(bench, config(sts))
        if len(sts.asked) > len(tries):
            tries.append(bench.clock.now - began)
        bench.clock.advance(0.5)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("AccessDenied", "AssumeRoleUnauthorizedAccess"),
        ("IDPRejectedClaim", "AssumeRoleUnauthorizedAccess"),
        ("InvalidIdentityToken", "AssumeRoleUnauthorizedAccess"),
        ("ExpiredTokenException", "Failed"),
        ("MalformedPolicyDocument", "Failed"),
    ],
)
def test_a_refusal_has_ec2_s_code_and_is_logged_once(
    said: str,
    code: str,
    bench: Bench,
    sts: Sts,
    shows_none: Shows,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sts.deny(said)
    for _ in range(2):
        refused(bench, config(sts))
        bench.clock.advance(100)
    error = refused(bench, config(sts))
    assert error.code == code
    assert str(error) == f"STS does not let the machine assume the role web: {said}"
    warnings = [record.message for record in caplog.records if record.name == "imds"]
    assert warnings == [f"default/web-1: no keys of the role web: {error} ({ARN})"]
    shows_none([TOKEN], error, error.detail)


def test_another_failure_is_logged_again(
    bench: Bench, sts: Sts, caplog: pytest.LogCaptureFixture
) -> None:
    for said in ("AccessDenied", "AccessDenied", "InternalFailure", "AccessDenied"):
        sts.deny(said)
        refused(bench, config(sts))
        bench.clock.advance(100)
    warnings = [record.message for record in caplog.records if record.name == "imds"]
    words = [warning.split(": ")[-1].split(" ")[0] for warning in warnings]
    assert words == ["AccessDenied", "InternalFailure", "AccessDenied"]


def test_another_identity_never_gets_these_keys(bench: Bench, sts: Sts) -> None:
    first = get(bench, config(sts))
    changed = [
        msgspec.structs.replace(VM, uuid="22222222-2222-4222-8222-222222222222"),
        msgspec.structs.replace(VM, namespace="other"),
        msgspec.structs.replace(VM, service_account="other"),
        msgspec.structs.replace(VM, tokens=(Token(audience="other"),)),
    ]
    for instance in changed:
        assert get(bench, config(sts), instance) is not first
    other = msgspec.structs.replace(config(sts), lifetime=900)
    assert get(bench, other) is not first
    assert len(sts.asked) == 6
    assert get(bench, config(sts)) is first


def test_keys_that_were_not_asked_for_longest_are_forgotten(
    bench: Bench, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "KEPT", 2)
    bench.credentials = bench.made(processes=False)
    for lifetime in (900, 901, 902, 900):
        get(bench, msgspec.structs.replace(config(sts), lifetime=lifetime))
    assert [int(asked["DurationSeconds"]) for asked in sts.asked] == [900, 901, 902, 900]


def test_a_token_that_is_not_there_is_a_failure_of_its_own(bench: Bench, sts: Sts) -> None:
    bench.token = None
    assert str(refused(bench, config(sts))) == "no token for sts.amazonaws.com is offered"
    bench.clock.advance(100)
    bench.token = TokenUnavailable("the file is torn")
    error = refused(bench, config(sts))
    assert str(error) == "the machine's ServiceAccount token cannot be had"
    assert error.detail == "the file is torn"
    assert sts.asked == []


def test_keys_cannot_be_generated_without_the_server_s_key(bench: Bench) -> None:
    bench.key = StartError("the state is read-only")
    error = refused(bench, AwsCredentials(role="web"))
    assert (str(error), error.detail) == (
        "the role's keys cannot be made",
        "the state is read-only",
    )


def test_keys_that_have_ended_before_they_came_are_none(bench: Bench, sts: Sts) -> None:
    bench.clock.advance(100_000)
    error = refused(bench, config(sts))
    assert str(error) == "keys of the role web have expired"
    assert error.detail.endswith("is this host's clock right?")
