"""A line for each access, in ECS's words, and nothing secret in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from emulator.observe.audit import Audit, change, lost, read, timestamp
from emulator.observe.observation import Batch, Observation, bounded, shown

SEEN = Observation(
    time=1_790_000_000.25,
    vm="web-1",
    dialect="ec2",
    area="ec2",
    method="GET",
    path="/latest/meta-data",
    status=200,
    reason="",
    bytes=3,
    duration_us=7,
    user_agent="curl/8",
    peer="10.0.0.2",
    namespace="shop",
    uuid="0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90",
    session="given",
    fingerprint="00112233445566aa",
    document="meta-data",
)

TOKEN = "AAAB" + "x-_9" * 15
"""64 characters, as session tokens have."""
ORDINARY = (
    "/computeMetadata/v1/instance/service-accounts/default/identity",
    "/metadata/instance/network/interface/0/ipv4/ipAddress/0/privateIpAddress",
    "/latest/meta-data/network/interfaces/macs/52:54:00:12:34:56/subnet-ipv4-cidr-block",
    "/1.0/meta-data/block-device-mapping/ephemeral0",
    "/openstack/2018-08-27/vendor_data2.json",
    "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.11.7",
    "aws-sdk-go-v2/1.30.3 ua/2.1 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/imds#1",
    "gcloud-golang/0.1 (Linux 6.1.0-18-amd64; GCEGuestAgent/20240701.00)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "azsdk-python-identity/1.27.0 Python/3.11.7 (Linux-6.1.0-x86_64-with-glibc2.36)",
    "Cloud-Init/25.1.4",
)
KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Lines(list[bytes]):
    """A sink that keeps what it is given."""

    put = list.extend


def audited(*seen: Observation) -> list[dict[str, Any]]:
    lines = Lines()
    Audit(lines)(seen)
    return [json.loads(line) for line in lines]


def test_an_access_is_told_in_the_words_of_ecs() -> None:
    assert audited(SEEN) == [
        {
            "@timestamp": "2026-09-21T14:13:20.250Z",
            "ecs.version": "8.17.0",
            "event.action": "metadata-read",
            "event.outcome": "success",
            "event.type": ["access", "allowed"],
            "event.category": ["web"],
            "event.kind": "event",
            "event.dataset": "imds.audit",
            "event.duration": 7000,
            "cloud.instance.name": "web-1",
            "cloud.instance.id": "0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90",
            "orchestrator.namespace": "shop",
            "http.request.method": "GET",
            "url.path": "/latest/meta-data",
            "http.response.status_code": 200,
            "http.response.body.bytes": 3,
            "user_agent.original": "curl/8",
            "source.address": "10.0.0.2",
            "imds.dialect": "ec2",
            "imds.area": "ec2",
            "imds.document": "meta-data",
            "imds.session": "given",
            "imds.session_fingerprint": "00112233445566aa",
        }
    ]


@pytest.mark.parametrize(
    ("status", "reason", "outcome", "decision"),
    [
        (401, "session-missing", "failure", "denied"),
        (404, "not-found", "failure", "denied"),
        # Ours, not a decision against the guest.
        (503, "unavailable", "failure", "allowed"),
    ],
)
def test_a_refusal_says_why(status: int, reason: str, outcome: str, decision: str) -> None:
    [line] = audited(replace(SEEN, status=status, reason=reason))
    assert (line["event.outcome"], line["event.reason"]) == (outcome, reason)
    assert line["event.type"] == ["access", decision]


@pytest.mark.parametrize(
    ("area", "document", "method", "action"),
    [
        ("ec2-token", "session", "PUT", "session-token-issue"),
        ("ec2-roles", "credentials", "GET", "credentials-read"),
        ("kubevirt-get", "token", "GET", "token-read"),
        ("gce-identity", "identity", "GET", "token-read"),
        ("gce-guest-attributes", "attributes", "PUT", "metadata-write"),
        ("openstack", "listing", "HEAD", "metadata-read"),
    ],
)
def test_what_was_done_has_a_name(area: str, document: str, method: str, action: str) -> None:
    [line] = audited(replace(SEEN, area=area, document=document, method=method))
    assert line["event.action"] == action


def test_a_line_is_read_as_it_was_written() -> None:
    lines = Lines()
    Audit(lines)([SEEN])
    found = read(lines[0])
    assert found is not None
    assert found.seconds == SEEN.time
    assert (found.vm, found.path, found.duration) == ("web-1", "/latest/meta-data", 7000)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'"x"', b"{}", b'{"@timestamp": "then", "http.request.method": "GET"}'],
)
def test_what_is_no_access_is_not_read_as_one(text: bytes) -> None:
    assert read(text) is None


def test_a_change_is_no_access() -> None:
    text = change(1.0, "imdsv2-mode-change", "web-1 is enforced", {"mode": "required"})
    told = json.loads(text)
    assert told["event.action"] == "imdsv2-mode-change"
    assert (told["message"], told["imds.mode"]) == ("web-1 is enforced", "required")
    assert read(text) is None
    lines = Lines()
    Audit(lines).event(1.0, "imdsv2-mode-change", "web-1 is enforced", {"mode": "required"})
    assert lines == [text]


def test_lines_that_are_missing_are_told_of() -> None:
    told = json.loads(lost(lambda: 2.0, 17))
    assert (told["@timestamp"], told["imds.lost"]) == ("1970-01-01T00:00:02.000Z", 17)


def test_a_time_has_milliseconds() -> None:
    assert timestamp(0.9999) == "1970-01-01T00:00:00.999Z"


def test_what_a_guest_chose_is_cut() -> None:
    assert bounded("x" * 200) == "x" * 200
    assert bounded("x" * 10_000) == "x" * 200 + "…"
    assert shown("/x" * 5000) == "/x" * 100 + "…"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"/latest/{TOKEN}/x", "/latest/[redacted]"),
        (f"curl {TOKEN[:32]}", "curl [redacted]"),
        (f"/a/eyJhbGciOiJFUzI1NiIsImtpZCI6IjEyMyJ9.{TOKEN}", "/a/[redacted]"),
        (f"/latest/a?{KEY}", "/latest/a?[redacted]"),
        (f"{'/' * 150}{TOKEN}", f"{'/' * 150}[redacted]"),
        # Cut, and half a token is left neither.
        (f"{'/' * 190}{TOKEN}", f"{'/' * 190}[redacted]"),
        # No secrets.
        ("/i/0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90/x", "/i/0d9f6b3e-5a3c-4f57-9d3b-6f1c2d7e8a90/x"),
        *((text, text) for text in ORDINARY),
        ("a\x1b[31m\nb", "a\ufffd[31m\ufffdb"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str, kept: str) -> None:
    assert shown(text) == kept


def test_several_are_told_of_at_once_and_soon() -> None:
    asyncio.run(several())


async def several() -> None:
    each: list[Observation] = []
    together: list[int] = []
    batch = Batch([each.append], [lambda seen: together.append(len(seen))])
    for _ in range(300):
        batch(SEEN)
    assert (len(each), together) == (256, [256])
    batch.flush()
    batch.flush()
    assert (len(each), together) == (300, [256, 44])
