"""``emulator.credentials.access``: bearer tokens by every provider, over a machine's time."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from emulator.core.credentials import AccessToken
from emulator.core.message import ServiceToken
from emulator.credentials import exchanges, web
from emulator.credentials.access import AccessTokens, Sources
from emulator.errors import CredentialsUnavailable, StartError, TokenUnavailable
from emulator.model.accounts import Account, AzureIdentity, GoogleAccount
from emulator.model.instance import Instance, Token
from tests.credentials.conftest import TOKEN, VM, Bench, Shows
from tests.credentials.token_service import Says, TokenService

GRANTED = "ya29.a-token-that-nobody-may-see"
OTHER = "ya29.another-token-that-nobody-may-see"
PROVIDER = "//iam.example/projects/1/locations/global/workloadIdentityPools/p/providers/k"
WIDE = "https://www.googleapis.com/auth/cloud-platform"
IMPERSONATED = "/v1/projects/-/serviceAccounts/low@shop.example:generateAccessToken"


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        running.says["/token"] = granted()
        yield running


def granted(token: str = GRANTED, lives: object = 3600) -> Says:
    document = {"access_token": token, "token_type": "Bearer", "expires_in": lives}
    return Says.json({key: value for key, value in document.items() if value is not None})


class Tokens:
    """What gives tokens, and what it is given itself."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.file: ServiceToken | Exception = ServiceToken("of a file", None)
        self.read_paths: list[str] = []
        self.claims: list[Mapping[str, object]] = []
        self.signs: str | Exception = "h.p.s"
        sources = Sources(bench._tokens, self._read, self._sign, bench._key)
        self.tokens = AccessTokens(bench.ports, sources, bench._spawn)

    async def _read(self, path: str) -> ServiceToken:
        self.read_paths.append(path)
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    async def _sign(self, claims: Mapping[str, object]) -> str:
        self.claims.append(claims)
        if isinstance(self.signs, Exception):
            raise self.signs
        return self.signs

    def get(self, account: Account, scope: str = "one,two", vm: Instance = VM) -> AccessToken:
        """Ask, and let what this may have begun come to its end."""

        async def main() -> AccessToken:
            found = await self.tokens.get(vm, account, scope)
            await self.bench.settled()
            return found

        try:
            return asyncio.run(main())
        finally:
            self.bench.work.clear()

    def refused(self, account: Account, scope: str = "one,two") -> CredentialsUnavailable:
        with pytest.raises(CredentialsUnavailable) as error:
            self.get(account, scope)
        return error.value


@pytest.fixture
def tokens(bench: Bench) -> Tokens:
    return Tokens(bench)


def google(service: TokenService, **fields: Any) -> GoogleAccount:
    return GoogleAccount(
        **{
            "email": "web@shop.example",
            "provider": "workload-identity",
            "token_audience": "sts",
            "audience": PROVIDER,
            "endpoint": f"{service.url}/token",
            **fields,
        }
    )


def low(service: TokenService, **fields: Any) -> GoogleAccount:
    """Give an account that becomes another one."""
    where = {"impersonation_endpoint": f"{service.url}/v1", "impersonate": "low@shop.example"}
    return google(service, **{**where, **fields})


def azure(service: TokenService, **fields: Any) -> AzureIdentity:
    return AzureIdentity(
        **{
            "client_id": "11111111-1111-4111-8111-111111111111",
            "object_id": "22222222-2222-4222-8222-222222222222",
            "tenant_id": "33333333-3333-4333-8333-333333333333",
            "provider": "federated",
            "endpoint": f"{service.url}/token",
            **fields,
        }
    )


def until(clock: float) -> str:
    return dt.datetime.fromtimestamp(int(clock), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------- what is exchanged


def test_a_token_is_exchanged_by_rfc_8693(
    tokens: Tokens, service: TokenService, bench: Bench, shows_none: Shows
) -> None:
    found = tokens.get(google(service))
    now = bench.clock.now
    assert found == AccessToken(GRANTED, now, now + 3600)
    [asked] = service.asked
    assert asked.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": PROVIDER,
        "scope": "one two",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in asked.headers
    assert bench.audiences == ["sts"]
    shows_none([TOKEN, GRANTED], found, tokens.tokens)
    assert repr(found) == f"AccessToken(..., expires={now + 3600})"


@pytest.mark.parametrize("slash", ["", "/"])
def test_another_account_s_token_is_got_with_the_first(
    tokens: Tokens, service: TokenService, bench: Bench, shows_none: Shows, slash: str
) -> None:
    ends = int(bench.clock.now) + 1800
    service.says[IMPERSONATED] = Says.json({"accessToken": OTHER, "expireTime": until(ends)})
    found = tokens.get(low(service, impersonation_endpoint=f"{service.url}/v1{slash}"))
    assert found == AccessToken(OTHER, bench.clock.now, float(ends))
    first, second = service.asked
    assert first.form["scope"] == WIDE
    assert second.path == IMPERSONATED
    assert second.headers["Authorization"] == f"Bearer {GRANTED}"
    assert second.headers["Content-Type"] == "application/json"
    assert json.loads(second.body) == {"scope": ["one", "two"]}
    shows_none([TOKEN, GRANTED, OTHER], found)


@pytest.mark.parametrize("says", ["soon", "", "2026-13-01T00:00:00Z"])
def test_another_account_s_token_has_an_end(
    tokens: Tokens, service: TokenService, shows_none: Shows, says: str
) -> None:
    service.says[IMPERSONATED] = Says.json({"accessToken": OTHER, "expireTime": says})
    error = tokens.refused(low(service))
    assert str(error) == "the token service gave no token"
    assert error.detail == f"{service.url}{IMPERSONATED}"
    shows_none([TOKEN, GRANTED, OTHER], error, error.detail)


def test_who_may_not_become_another_is_refused(
    tokens: Tokens, service: TokenService, shows_none: Shows
) -> None:
    why = {"error": {"code": 403, "message": f"no {GRANTED}", "status": "PERMISSION_DENIED"}}
    service.says[IMPERSONATED] = Says.json(why, 403)
    error = tokens.refused(low(service))
    assert (str(error), error.code) == (
        "the token service gives no token: HTTP status 403",
        "Refused",
    )
    shows_none([TOKEN, GRANTED], error, error.detail)


@pytest.mark.parametrize(
    "resource", ["https://management.azure.com", "https://management.azure.com/"]
)
def test_a_token_is_got_by_a_client_assertion(
    tokens: Tokens, service: TokenService, bench: Bench, resource: str, shows_none: Shows
) -> None:
    found = tokens.get(azure(service), resource)
    assert found == AccessToken(GRANTED, bench.clock.now, bench.clock.now + 3600)
    [asked] = service.asked
    assert asked.form == {
        "grant_type": "client_credentials",
        "client_id": "11111111-1111-4111-8111-111111111111",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": TOKEN,
        "scope": "https://management.azure.com/.default",
    }
    assert bench.audiences == ["api://AzureADTokenExchange"]
    shows_none([TOKEN, GRANTED], found)


def test_the_tenant_s_endpoint_is_asked_by_default(
    tokens: Tokens, service: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls: list[str] = []

    async def post(url: str, *_: object) -> Any:
        urls.append(url)
        raise CredentialsUnavailable("none")

    monkeypatch.setattr(web, "post", post)
    tokens.refused(azure(service, endpoint=""))
    tenant = "33333333-3333-4333-8333-333333333333"
    assert urls == [f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"]


# ------------------------------------------------------------------------ when it is exchanged


def test_a_hundred_callers_are_one_exchange(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    async def main() -> list[AccessToken]:
        asked = (tokens.tokens.get(VM, google(service), "one") for _ in range(100))
        return await asyncio.gather(*asked)

    found = asyncio.run(main())
    assert len(service.asked) == 1
    assert set(map(id, found)) == {id(found[0])}
    assert bench.audiences == ["sts"]


def test_one_that_hangs_up_does_not_end_it_for_others(
    tokens: Tokens, service: TokenService
) -> None:
    service.gate.clear()

    async def main() -> AccessToken:
        first, second = (
            asyncio.ensure_future(tokens.tokens.get(VM, google(service), "one")) for _ in range(2)
        )
        assert await asyncio.to_thread(service.came.wait, 10)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        service.gate.set()
        return await second

    assert asyncio.run(main()).token == GRANTED
    assert len(service.asked) == 1


def test_a_new_token_is_got_before_the_old_one_ends(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    first = tokens.get(google(service))
    bench.clock.advance(3600 - exchanges.EARLY - 1)
    assert tokens.get(google(service)) is first
    assert len(service.asked) == 1
    bench.clock.advance(2)
    service.says["/token"] = granted(OTHER)
    # This guest is not kept waiting; the next one has the new token.
    assert tokens.get(google(service)) is first
    assert tokens.get(google(service)).token == OTHER
    assert len(service.asked) == 2


def test_a_token_that_lives_shortly_is_got_anew_at_half_of_its_life(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    service.says["/token"] = granted(lives=300)
    first = tokens.get(google(service))
    bench.clock.advance(149)
    assert tokens.get(google(service)) is first
    assert len(service.asked) == 1
    bench.clock.advance(2)
    assert tokens.get(google(service)) is first
    assert len(service.asked) == 2


def test_a_good_token_is_served_while_the_service_is_down(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    first = tokens.get(google(service))
    service.stop()
    try:
        for minutes in (45, 5, 5):
            bench.clock.advance(minutes * 60)
            assert tokens.get(google(service)) is first
        bench.clock.advance(301)
        error = tokens.refused(google(service))
    finally:
        service.start()
    assert (str(error), error.code) == ("the token service does not answer", "Failed")
    bench.clock.advance(61)
    assert tokens.get(google(service)) is not first


def test_tries_that_fail_come_ever_later(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    service.says["/token"] = Says(500)
    began = bench.clock.now
    tries: list[float] = []
    for _ in range(140):
        tokens.refused(google(service))
        if len(service.asked) > len(tries):
            tries.append(bench.clock.now - began)
        bench.clock.advance(0.5)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == [1, 2, 4, 8, 16, 32]


def test_another_identity_or_scope_never_gets_this_token(
    tokens: Tokens, service: TokenService
) -> None:
    first = tokens.get(google(service))
    for vm in (
        replace(VM, uuid="22222222-2222-4222-8222-222222222222"),
        replace(VM, namespace="other"),
        replace(VM, service_account="other"),
        replace(VM, tokens=(Token(audience="other"),)),
    ):
        assert tokens.get(google(service), vm=vm) is not first
    assert tokens.get(google(service), "one") is not first
    assert tokens.get(google(service, email="other@shop.example")) is not first
    assert tokens.get(google(service, audience="//other")) is not first
    assert len(service.asked) == 8
    assert tokens.get(google(service)) is first
    assert len(service.asked) == 8


def test_a_guest_that_asks_for_everything_is_refused_at_once(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    service.gate.clear()
    other = replace(VM, uuid="22222222-2222-4222-8222-222222222222")

    async def main() -> list[AccessToken | BaseException]:
        asked = [tokens.tokens.get(VM, google(service), str(number)) for number in range(100)]
        asked.append(tokens.tokens.get(other, google(service), "one"))
        running = asyncio.gather(*asked, return_exceptions=True)
        assert await asyncio.to_thread(service.came.wait, 10)
        service.gate.set()
        return await running

    *found, others = asyncio.run(main())
    assert isinstance(others, AccessToken)
    assert [isinstance(one, AccessToken) for one in found] == [True] * 16 + [False] * 84
    assert {getattr(one, "code", "") for one in found} == {"", "Throttled"}
    assert len(service.asked) == 17


def test_a_token_for_every_text_of_a_guest_leaves_nothing_behind(
    tokens: Tokens, service: TokenService
) -> None:
    tokens.file = ServiceToken(GRANTED, None)
    made = azure(service, provider="generated")
    for account in (GENERATED, FILE, made):
        for number in range(50):
            tokens.get(account, str(number))
    assert tokens.tokens._exchanges._known._items == {}


def test_an_account_says_whether_its_tokens_are_exchanged() -> None:
    assert GoogleAccount(provider="workload-identity").exchanged
    assert AzureIdentity(provider="federated").exchanged
    for others in (GoogleAccount(), FILE, AzureIdentity(), AzureIdentity(provider="file")):
        assert not others.exchanged


# -------------------------------------------------------------------------- what can go wrong


@pytest.mark.parametrize(("lives", "seconds"), [("3599", 3599), (59.5, 59.5), (None, 3600)])
def test_a_life_may_be_a_text_or_not_said(
    tokens: Tokens, service: TokenService, bench: Bench, lives: object, seconds: float
) -> None:
    service.says["/token"] = granted(lives=lives)
    assert tokens.get(google(service)).expires == bench.clock.now + seconds


@pytest.mark.parametrize("lives", ["soon", "", "nan", "inf", "-Infinity", [3600], True])
def test_a_life_is_a_number(
    tokens: Tokens, service: TokenService, lives: object, shows_none: Shows
) -> None:
    service.says["/token"] = granted(lives=lives)
    error = tokens.refused(google(service))
    assert str(error) == "the token service gave no token"
    assert error.detail == f"{service.url}/token"
    shows_none([TOKEN, GRANTED], error, error.detail)


@pytest.mark.parametrize("lives", [0, -1, "0.0", "-3600"])
def test_a_token_that_has_ended_before_it_came_is_none(
    tokens: Tokens, service: TokenService, lives: object, shows_none: Shows
) -> None:
    service.says["/token"] = granted(lives=lives)
    error = tokens.refused(google(service))
    assert "token of web@shop.example" in str(error)
    assert "expired" in str(error)
    assert error.detail.endswith("is this host's clock right?")
    shows_none([TOKEN, GRANTED], error, error.detail)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b'{"access_token": 7}',
        b'{"access_token": null}',
        b'{"access_token": ""}',
        b'{"access_token": "\xff"}',
        b'{"access_token": "x", "other": %s}' % (b"[" * 100_000),
    ],
)
def test_an_answer_without_a_token_is_none(
    tokens: Tokens, service: TokenService, body: bytes
) -> None:
    service.says["/token"] = Says(body=body)
    assert str(tokens.refused(google(service))) == "the token service gave no token"


@pytest.mark.parametrize(("status", "code"), [(400, "Refused"), (403, "Refused"), (500, "Failed")])
def test_a_refusal_is_logged_once_without_the_token(
    tokens: Tokens,
    service: TokenService,
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    shows_none: Shows,
    status: int,
    code: str,
) -> None:
    why = {"error": "invalid_grant", "error_description": f"{TOKEN} is bad"}
    service.says["/token"] = Says.json(why, status)
    for _ in range(3):
        error = tokens.refused(google(service))
        bench.clock.advance(100)
    error = tokens.refused(google(service))
    assert (str(error), error.code) == (
        "the token service gives no token: invalid_grant",
        code,
    )
    warnings = [record.message for record in caplog.records if record.name == "imds"]
    where = f"{service.url}/token"
    assert warnings == [f"default/web-1: no token of web@shop.example: {error} ({where})"]
    shows_none([TOKEN], error, error.detail)


def test_an_identity_is_named_by_its_client_in_the_log(
    tokens: Tokens, service: TokenService, caplog: pytest.LogCaptureFixture
) -> None:
    service.says["/token"] = Says(401)
    tokens.refused(azure(service))
    [record] = (record for record in caplog.records if record.name == "imds")
    assert "no token of 11111111-1111-4111-8111-111111111111: " in record.message


def test_a_redirection_gets_nothing(tokens: Tokens, service: TokenService) -> None:
    service.says["/elsewhere"] = granted(OTHER)
    there = {"Location": f"{service.url}/elsewhere"}
    service.says["/token"] = Says(307, headers=there)
    assert str(tokens.refused(google(service))).endswith("HTTP status 307")
    assert [asked.path for asked in service.asked] == ["/token"]


def test_a_machine_s_token_that_is_not_there_is_a_failure_of_its_own(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    bench.token = None
    assert str(tokens.refused(google(service))) == "no token for sts is offered"
    bench.clock.advance(100)
    bench.token = TokenUnavailable("the file is torn")
    error = tokens.refused(google(service))
    assert str(error) == "the machine's ServiceAccount token cannot be had"
    assert error.detail == "the file is torn"
    assert service.asked == []


# -------------------------------------------------------------------- what needs no exchange

FILE = GoogleAccount(email="web@shop.example", provider="file", file="/run/token")


def test_a_file_is_read_for_each_request(tokens: Tokens, bench: Bench, shows_none: Shows) -> None:
    ends = bench.clock.now + 77.0
    tokens.file = ServiceToken(GRANTED, ends)
    assert tokens.get(FILE) == AccessToken(GRANTED, bench.clock.now, ends)
    tokens.file = ServiceToken(OTHER, ends)
    found = tokens.get(FILE)
    assert found.token == OTHER
    assert tokens.read_paths == ["/run/token"] * 2
    assert bench.audiences == []
    shows_none([GRANTED, OTHER], found)


def test_a_file_that_does_not_say_when_it_ends_is_good_for_a_while(
    tokens: Tokens, bench: Bench
) -> None:
    left = tokens.get(FILE).expires - bench.clock.now
    assert 1800 <= left <= 3600
    assert tokens.get(replace(FILE, email="")).token == "of a file"
    identity = AzureIdentity(provider="file", file="/run/other")
    assert tokens.get(identity).token == "of a file"
    assert tokens.read_paths[-1] == "/run/other"


def test_a_file_that_cannot_be_read_is_logged_once_while_that_lasts(
    tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.file = TokenUnavailable("/run/token: torn")
    for _ in range(2):
        error = tokens.refused(FILE)
        assert (str(error), error.detail) == ("the token cannot be read", "/run/token: torn")
    tokens.file = ServiceToken(GRANTED, None)
    assert tokens.get(FILE).token == GRANTED
    tokens.file = TokenUnavailable("/run/token: torn")
    tokens.refused(FILE)
    warnings = [record.message for record in caplog.records if record.name == "imds"]
    why = "no token of web@shop.example: the token cannot be read (/run/token: torn)"
    assert warnings == [f"default/web-1: {why}"] * 2


GENERATED = GoogleAccount(email="web@shop.example")


def test_what_is_generated_is_the_same_on_each_server(tokens: Tokens, bench: Bench) -> None:
    first = tokens.get(GENERATED)
    assert first == Tokens(bench).get(GENERATED)
    assert first.token.startswith("ya29.c.")
    assert len(first.token) == len("ya29.c.") + 960
    assert first.updated <= bench.clock.now
    assert first.expires - first.updated == 3600
    assert first.expires - bench.clock.now >= 1800
    others = [
        tokens.get(GENERATED, "one"),
        tokens.get(replace(GENERATED, email="other@shop.example")),
        tokens.get(GENERATED, vm=replace(VM, uuid="22222222-2222-4222-8222-222222222222")),
    ]
    bench.clock.advance(1800)
    others.append(tokens.get(GENERATED))
    bench.key = b"another"
    others.append(tokens.get(GENERATED))
    assert len({first.token, *(other.token for other in others)}) == 6


def test_a_life_is_as_long_as_described(tokens: Tokens) -> None:
    found = tokens.get(replace(GENERATED, lifetime=43_200))
    assert found.expires - found.updated == 43_200


def test_an_identity_s_token_is_signed(tokens: Tokens, service: TokenService) -> None:
    identity = azure(service, provider="generated", endpoint="", lifetime=28_800)
    found = tokens.get(identity, "https://management.azure.com/")
    assert found.token == "h.p.s"
    [claims] = tokens.claims
    tenant = "https://sts.windows.net/33333333-3333-4333-8333-333333333333/"
    assert claims == {
        "aud": "https://management.azure.com/",
        "iss": tenant,
        "iat": found.updated,
        "nbf": found.updated,
        "exp": found.expires,
        "appid": "11111111-1111-4111-8111-111111111111",
        "appidacr": "2",
        "idp": tenant,
        "idtyp": "app",
        "oid": "22222222-2222-4222-8222-222222222222",
        "sub": "22222222-2222-4222-8222-222222222222",
        "tid": "33333333-3333-4333-8333-333333333333",
        "ver": "1.0",
    }
    assert found.expires - found.updated == 28_800
    tokens.get(replace(identity, resource_id="/subscriptions/x"))
    assert tokens.claims[1]["xms_mirid"] == "/subscriptions/x"
    assert service.asked == []


def test_nothing_can_be_made_without_a_key(
    tokens: Tokens, service: TokenService, bench: Bench
) -> None:
    bench.key = StartError("the state is read-only")
    tokens.signs = TokenUnavailable("no key")
    for account, detail in (
        (GENERATED, "the state is read-only"),
        (azure(service, provider="generated"), "no key"),
    ):
        error = tokens.refused(account)
        assert (str(error), error.detail) == ("the token cannot be made", detail)
