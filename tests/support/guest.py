"""A guest that asks the core as the server does, without a socket between them."""

from __future__ import annotations

import asyncio
import functools
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar

from tornado.httputil import HTTPHeaders

from emulator.core.message import Answer, Reply, Request, ServiceToken, Wait, build
from emulator.core.refusal import Refusal
from emulator.core.session import TOKEN_HEADER, Sessions
from emulator.core.timeline import Anchors, occurrences
from emulator.core.written import Written
from emulator.credentials import AccessTokens, Credentials, Sources
from emulator.dialects import VOCABULARY, split_at_door
from emulator.model.build import build as build_instance
from emulator.model.decode import Outside
from emulator.model.document import Unfit
from emulator.render import Renderer, Templates
from emulator.runtime.tasks import spawn
from emulator.sources.compose import compose
from emulator.tokens import Tokens
from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from emulator.core.credentials import AccessToken, RoleCredentials
    from emulator.core.timeline import Occurrence
    from emulator.model.accounts import Account
    from emulator.model.credentials import AwsCredentials
    from emulator.model.instance import Instance
    from emulator.ports import Ports

RSA = (
    "ssh-rsa "
    "AAAAB3NzaC1yc2EAAAADAQABAAABAQDxWPyzCYsRAdaCmmGPwv4jEchAkHWOxfHI6A6mJ7/8oVe28tA1MlZL1XU54T"
    "d382b0WE7kTEFcJAsm+xSO87RuQrPT3LgE3PlhdCFC4b3VJku4kCnb+vGai3QjZDeJ0aZasuQdT/fHn/2ov26Zh2TB"
    "9Vcc0u/4AwFLpL/9PRVc3caKbNZvKfSBm71XY/t6hK5I0o6RelCUsV9R6x/3wqXSmng1hrE1OVV75oTbuFPr/tIMAv"
    "VusuyKljjm18ogYb84WjUO6P0v3FOOCSQqVZvp4PgkDUE/N77jKUSYUCQ013rFU0TK1S5DItFIk3NTfj+3n5gbJiYC"
    "K6tW7xEZJVUV ops@example"
)
ED25519 = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGP9chURgQ+WHaBNz/5ULyTPnStEbVucXJbFwdNm1DpE dev@example"
)
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBAzCBq6ADAgECAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXQwHhcNMjAw
MTAxMDAwMDAwWhcNNDAwMTAxMDAwMDAwWjAMMQowCAYDVQQDDAF0MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEyUji3K0dPzPG3QFDUGPT8VkP6i1rwQI2BXWa7pI/
ly6/w9klNZRWB/DqgfDl/8J5+dkuk88EEy4HSGiPX3H8YzAKBggqhkjOPQQDAgNH
ADBEAiBH9gub5o2Dhtob+VZESkfQ2xwX3CSK3ue0Qj8U561yawIgJjimjEgow1ic
i5eDMStZkwhy9SNKcQ8TRPRUIWNcJAU=
-----END CERTIFICATE-----"""

COMPLETE = f"""\
name: web-1
namespace: shop
hostname: web-1.shop.example
uuid: 0f0e0d0c-0b0a-4908-8706-050403020100
project: 5f3c0de5f3c0de5f3c0de5f3c0de5f3c
service_account: web
placement: {{region: here, zone: here-b}}
type: m1.small
image: debian-12
launch_index: 2
public_keys:
  - {{name: "ops=key", key: "{RSA}"}}
  - {{name: dev, key: "{ED25519}"}}
tags: {{tier: front}}
meta: {{purpose: "a \\"quoted\\" word", note: "ünïcode"}}
security_groups: [default, web]
interfaces:
  - mac: 52:54:00:00:00:01
    mtu: 1400
    addresses: [192.0.2.10/24, "2001:db8::10/64"]
    gateways: [192.0.2.1, "2001:db8::1"]
    routes: [{{to: 198.51.100.0/24, via: 192.0.2.2, metric: 50}}]
    dns: [192.0.2.53, "2001:db8::53"]
    search: [shop.example]
    public_addresses: [203.0.113.10]
  - {{mac: "52:54:00:00:00:02", addresses: []}}
  - {{mac: "52:54:00:00:00:03", addresses: []}}
  - name: bond0
    bond: {{links: [eth1, eth2], mode: 802.3ad, xmit_hash_policy: layer3+4}}
    addresses: [dhcp4, slaac]
  - name: vlan7
    vlan: {{link: bond0, id: 7}}
    addresses: [dhcp4]
files:
  - {{path: /etc/motd, content: "hello\\n"}}
  - {{path: /etc/other, content: "other"}}
user_data: |
  #cloud-config
  hostname: kept
vendor_data: |
  #cloud-config
  timezone: UTC
vendor_data2:
  inventory: {{rack: 7}}
admin_pass: correct horse
"""


def machine(description: str) -> Instance:
    """Give the complete instance that a YAML text describes; it may refer to no file."""

    def refused(name: str, _limit: int = 0) -> Any:
        raise Unfit(name, "no file")

    root = compose(description, "test.yaml")
    return build_instance(root, VOCABULARY, Outside(read=refused, locate=refused)).instance


KEY = b"the key of all guests in a test"


def _mark(form: str, document: bytes) -> bytes:
    """Stand in for a signature where only its place matters."""
    return f"{form} of {len(document)} bytes".encode()


async def _no_token(_instance: Instance, _audience: str) -> ServiceToken | None:
    return None


class _Memory:
    """Keeps the issuer's key of all guests, which takes a good part of a second to make."""

    kept: ClassVar[dict[str, bytes]] = {}

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.kept[name] = data


@functools.cache
def _templates() -> Templates:
    return Templates()  # compiled once, as a server does


class Guest:
    """A guest of one machine, which also is what the machine's computed paths use."""

    def __init__(self, described: str | Instance, ports: FakePorts | None = None) -> None:
        """Render what YAML, or an instance, describes."""
        self.fake = ports or FakePorts()
        self.instance = machine(described) if isinstance(described, str) else described
        self.renderer = Renderer(_templates(), self.fake.ports, _mark)
        self.started = self.fake.now
        self.written = Written(self.fake.ports)
        self.allowed: dict[str, float] = {}
        self.numbered = ("", 0)
        self.reported = ("", "")
        self.issuer = ""
        self.snapshot = self.renderer.snapshot(self.instance, self._occurrences())
        self.posted = b""
        self.last_hop_limit = 0
        self.sessions = Sessions(KEY, self.instance.uuid, self.instance.session_epoch, self.ports)
        self._credentials = Credentials(
            self.ports, lambda: KEY, _no_token, spawn=spawn, processes=False
        )
        self.issued = Tokens(self.ports, _Memory())
        sources = Sources(_no_token, self.issued.read, self.issued.sign, lambda: KEY)
        self._access = AccessTokens(self.ports, sources, spawn)

    def again(self) -> None:
        """Render anew, as the server does when an event's time has come."""
        self.snapshot = self.renderer.snapshot(
            self.instance, self._occurrences(), self.written.texts
        )

    def _occurrences(self) -> tuple[Occurrence, ...]:
        anchors = Anchors(start=self.started, first_request=self.started)
        return occurrences(self.instance.events, anchors, self.fake.now, self.allowed)

    @property
    def ports(self) -> Ports:
        """Give the fake clock and entropy."""
        return self.fake.ports

    async def token(self, audience: str) -> ServiceToken | None:
        """Give a token for any audience."""
        return ServiceToken(token=f"token for {audience}", expires=self.fake.now + 3600)

    async def credentials(self, wanted: AwsCredentials) -> RoleCredentials:
        """Give the credentials of a role as the server would."""
        return await self._credentials.get(self.instance, wanted)

    async def access_token(self, wanted: Account, scope: str) -> AccessToken:
        """Give a token as the server would."""
        return await self._access.get(self.instance, wanted, scope)

    async def signed(self, claims: Mapping[str, object]) -> str:
        """Sign as the server would."""
        return await self.issued.sign(claims)

    async def seal(self, form: str, document: bytes) -> bytes:
        """Stand in for a signature, in base64 as all are."""
        return b64encode(_mark(form, document))

    def write(self, name: str, value: str | None) -> Refusal | None:
        """Keep what the guest says of itself."""
        refusal = self.written.write(name, value)
        if refusal is None:
            self.again()
        return refusal

    def acknowledge(self, events: Collection[str]) -> bool:
        """Let events begin of which it was told."""
        if not set(events) <= {one.event.id for one in self._occurrences()}:
            return False
        for event in events:
            self.allowed.setdefault(event, self.fake.now)
        self.again()
        return True

    def report(self, state: str, why: str) -> None:
        """Note what is reported."""
        self.reported = (state, why)

    def incarnation(self, tag: str, least: int) -> int:
        """Give a number."""
        if tag != self.numbered[0]:
            self.numbered = (tag, max(least, self.numbered[1] + 1))
        return self.numbered[1]

    def in_session(self) -> dict[str, str]:
        """Give the header with a good session token."""
        return {TOKEN_HEADER: self.sessions.issue(60)}

    def password(self) -> bytes:
        """Give what was posted."""
        return self.posted

    def set_password(self, ciphertext: bytes) -> None:
        """Keep it."""
        self.posted = ciphertext

    def ask(
        self,
        target: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Ask for ``target`` (path and query, behind the name of a door if not at the front)."""
        path, query = split_at_door(target)
        lines = HTTPHeaders()
        for name, value in (headers or {}).items():
            lines.add(name, value)
        request = Request(method, path, query, lines, body, "192.0.2.10")
        decision = self.snapshot.decide(request, self)
        self.last_hop_limit = 0
        if isinstance(decision.answer, Answer):
            answer = decision.answer
        else:
            reply = decision.answer(request, self)
            if isinstance(reply, Wait):
                # Nothing else happens while it waits.
                late = Request(method, path, reply.late, lines, body, "192.0.2.10")
                reply = decision.answer(late, self)
            if not isinstance(reply, Reply | Refusal | Answer | Wait):
                reply = asyncio.run(_waited(reply))
            if isinstance(reply, Refusal):
                return decision.area.refusals[reply]
            if isinstance(reply, Answer):
                return reply
            assert isinstance(reply, Reply)
            self.last_hop_limit = reply.hop_limit
            answer = build(reply, decision.area.common)
        return Answer(answer.status, answer.head + decision.lines, answer.body)

    def text(self, target: str) -> str:
        """Ask for a document that must exist."""
        answer = self.ask(target)
        assert answer.status == 200, f"{target}: {answer.status}"
        return answer.body.decode()

    def json(self, target: str) -> Any:
        """Ask for a JSON document that must exist."""
        return json.loads(self.text(target))

    def status(self, target: str, method: str = "GET") -> int:
        """Ask, and give the status alone."""
        return self.ask(target, method).status


async def _waited(reply: Any) -> Any:
    return await reply


def header(answer: Answer, name: str) -> str:
    """Give a header of an answer, empty if it has none."""
    for line in answer.head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        if key.lower() == name.lower():
            return value
    return ""
