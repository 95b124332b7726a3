"""Token services are down, slow or lying: an error in bounded time, only for their machines."""

from __future__ import annotations

import datetime as dt
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import pytest

from tests.credentials.sts import EMPTY, Sts
from tests.credentials.token_service import Says, TokenService
from tests.reliability.broken import Broken, answered
from tests.reliability.guests import Answer, asked
from tests.server.process import Serving, until
from tests.tokens.test_files import make_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fault: TypeAlias = "Callable[[Broken], None]"

KEYS = "/latest/meta-data/iam/security-credentials/web"
GOOGLE = "/computeMetadata/v1/instance/service-accounts/default/token"
AZURE = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.example"

# What STS and the others are given, connecting and in all; the rest is for a busy machine.
BOUND = 20.0

GIVEN = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>
<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>{expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
PAST = GIVEN.replace("{expiration}", "2020-01-01T00:00:00Z").encode()
HTML = b"<!doctype html><title>Sign in to this network</title>"

VM = """\
name: vm-{number}
peer: {{addresses: [127.0.0.{number}]}}
dialects: {{ec2: {{tokens: optional}}, gce: {{}}, azure: {{}}}}
tokens: [{{audience: sts, file: {folder}/token}}]
ec2:
  credentials:
    {{role: web, provider: web-identity, audience: sts, endpoint: "{sts}",
     role_arn: "arn:aws:iam::123456789012:role/web"}}
gce:
  service_accounts:
    - {{email: a@b.iam.gserviceaccount.com, provider: workload-identity, token_audience: sts,
       audience: p, endpoint: "{other}/sts"}}
azure:
  tenant_id: 66666666-7777-4888-9999-aaaaaaaaaaaa
  identities:
    - {{provider: federated, token_audience: sts, client_id: bbbbbbbb-cccc-4ddd-8eee-ffffffffffff,
       endpoint: "{other}/azure"}}
"""


class Cluster:
    """A server whose machines have services that are each broken in a way of its own.

    The last machine's are sound.
    """

    def __init__(self, folder: Path, faults: dict[str, Fault], stack: ExitStack) -> None:
        """Start it, with everything in order."""
        (folder / "token").write_text(make_token(1))
        (folder / "vms").mkdir()
        self._sts = stack.enter_context(Sts())
        other = stack.enter_context(TokenService())
        given = {"access_token": "given", "expires_in": 3600, "token_type": "Bearer"}
        issued = {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        other.says = {"/sts": Says.json(given | issued), "/azure": Says.json(given)}
        self.faults = faults
        self.broken: dict[str, list[Broken]] = {}
        for number, name in enumerate((*faults, "sound"), 1):
            pair = [
                stack.enter_context(Broken(urlsplit(service.url).port or 0))
                for service in (self._sts, other)
            ]
            self.broken[name] = pair
            text = VM.format(number=number, folder=folder, sts=pair[0].url, other=pair[1].url)
            (folder / f"vms/{number}.yaml").write_text(text)
        self.numbers = {name: number for number, name in enumerate(self.broken, 1)}
        self.server = stack.enter_context(Serving(folder, str(folder / "vms")))

    def break_(self) -> None:
        for name, fault in self.faults.items():
            for broken in self.broken[name]:
                fault(broken)

    def heal(self) -> None:
        for pair in self.broken.values():
            for broken in pair:
                broken.heal()

    def ask(self, name: str, path: str) -> tuple[Answer, float]:
        """Ask as the machine ``name``; give the answer, and the seconds that it took."""
        headers = {"Metadata-Flavor": "Google"} if path == GOOGLE else {"Metadata": "true"}
        begun = time.monotonic()
        found = asked(self.server.url, path, f"127.0.0.{self.numbers[name]}", **headers)
        return found, time.monotonic() - begun

    def gives(self, name: str, path: str) -> bool:
        """Say whether ``path`` gives the machine ``name`` what it should."""
        found, _ = self.ask(name, path)
        document = json.loads(found.body) if found.status == 200 else {}
        return "Success" in document.values() or "given" in document.values()


def said(answer: Answer, path: str) -> str:
    """Give what the dialect's clients take for the error; fail if it is none that they know."""
    assert b"secret" not in answer.body
    if path == KEYS:
        document = json.loads(answer.body)
        assert (answer.status, document["Code"]) == (200, "Failed"), answer
        return str(document["Message"])
    assert answer.status in {500, 503}, answer
    return str(answer.status)


def saying(answer: bytes) -> Fault:
    return lambda broken: setattr(broken, "how", broken.says(answer))


QUICK: dict[str, Fault] = {
    "refuses": lambda broken: broken.refuse(),
    "speaks no HTTP": saying(b"\x00\xff garbage\r\n\r\n"),
    "says nothing": saying(b""),
    "says HTML": saying(answered(HTML, kind="text/html")),
    "says too little": saying(answered(PAST[:-40], length=len(PAST))),
    "errs": saying(answered(b"", "500 Internal Server Error")),
    "gives what has ended": saying(answered(PAST)),
    "gives nothing": saying(answered(EMPTY.encode())),
    "floods": lambda broken: setattr(broken, "how", broken.flood),
}
SLOW: dict[str, Fault] = {
    # More than there are exchanges at once with one service.
    **{
        f"is silent, {number}": lambda broken: setattr(broken, "how", broken.hang)
        for number in range(4)
    },
    "says a byte at a time": lambda broken: setattr(broken, "how", broken.drip),
    "never comes to a body": lambda broken: setattr(broken, "how", broken.drip_head),
}


@pytest.mark.parametrize(
    ("faults", "paths"),
    # Exchanges of one machine take turns: slow ones would for each account.
    [(QUICK, (KEYS, GOOGLE, AZURE)), (SLOW, (KEYS, AZURE))],
    ids=["quick", "slow"],
)
def test_each_fault_is_an_error_in_time_for_its_machine_and_over_with_it(
    tmp_path: Path, faults: dict[str, Fault], paths: tuple[str, ...]
) -> None:
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, faults, stack)
        cluster.break_()
        # More guests than there are exchanges at once.
        guests = stack.enter_context(ThreadPoolExecutor(64))
        asking = {
            (name, path, again): guests.submit(cluster.ask, name, path)
            for name in faults
            for path in paths
            for again in range(2)
        }
        time.sleep(0.5)
        for path in paths:
            # Nor are others kept waiting meanwhile, with exchanges of their own.
            found, seconds = cluster.ask("sound", path)
            assert cluster.gives("sound", path), found
            assert seconds < BOUND / 4
        for (name, path, _), asked_ in asking.items():
            found, seconds = asked_.result()
            assert said(found, path), name
            assert seconds < BOUND, (name, path)
        assert not any("Traceback" in line for line in cluster.server.lines)
        cluster.heal()
        for name in faults:
            for path in paths:
                until(partial(cluster.gives, name, path))


def test_what_was_given_is_good_until_its_end_whatever_becomes_of_the_service(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, {"goes": lambda broken: broken.refuse()}, stack)
        seconds = 4
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        begun = time.monotonic()
        short = GIVEN.replace("{expiration}", end.isoformat().replace("+00:00", "Z"))
        cluster.broken["goes"][0].how = cluster.broken["goes"][0].says(answered(short.encode()))
        assert cluster.gives("goes", KEYS)
        cluster.break_()
        # Half of their life is over: others are wanted, and these are given.
        while time.monotonic() - begun < seconds - 1:
            found, took = cluster.ask("goes", KEYS)
            if time.monotonic() - begun > seconds - 0.5:
                break  # this machine is too busy to tell
            assert json.loads(found.body)["AccessKeyId"] == "ASIAEXAMPLE"
            assert took < seconds
            time.sleep(0.1)
        time.sleep(max(0.0, begun + seconds + 0.2 - time.monotonic()))
        assert said(cluster.ask("goes", KEYS)[0], KEYS)
        cluster.heal()
        until(lambda: cluster.gives("goes", KEYS))
