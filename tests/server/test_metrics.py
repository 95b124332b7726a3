"""``/metrics`` of a running server, read by a real Prometheus."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from emulator.tokens.jwt import encode
from tests.server.process import DEADLINE, Serving, until
from tests.support.prometheus import prometheus

SECRETS = ("user-data-that-nobody-sees", "t.o.ken-of-the-account", "vendor-that-nobody-sees")
VM = f"""\
name: web-1
namespace: prod
dialects:
  ec2: {{tokens: optional}}
  kubevirt:
  gce:
  nocloud:
user_data: {SECRETS[0]}
vendor_data: {SECRETS[2]}
tokens:
- file: token
"""
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "token").write_text(SECRETS[1])
    (tmp_path / "vm.yaml").write_text(VM)
    with Serving(tmp_path, str(tmp_path / "vm.yaml")) as server:
        yield server


def scraped(serving: Serving) -> str:
    response = requests.get(f"{serving.operator}/metrics", timeout=DEADLINE)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return response.text


def ask(serving: Serving, path: str, method: str = "GET", **headers: str) -> requests.Response:
    return requests.request(method, serving.url + path, headers=headers, timeout=DEADLINE)


def traffic(serving: Serving) -> str:
    """Ask as guests do, well and badly; give the session token."""
    token = ask(serving, "/latest/api/token", "PUT", **{TTL: "300"}).text
    for _ in range(3):
        assert ask(serving, "/latest/meta-data/", **{TOKEN: token}).ok
    assert ask(serving, "/latest/meta-data/").ok
    assert ask(serving, "/latest/user-data").text == SECRETS[0]
    assert ask(serving, "/v1/token", Metadata="true").json()["token"] == SECRETS[1]
    forwarded = {TTL: "60", "X-Forwarded-For": "10.1.1.1"}
    assert ask(serving, "/latest/api/token", "PUT", **forwarded).status_code == 403
    assert ask(serving, "/computeMetadata/v1/").status_code == 403
    return token


def test_a_guest_has_no_metrics_and_metrics_no_secret(serving: Serving) -> None:
    token = traffic(serving)
    assert ask(serving, "/metrics").status_code == 404
    assert ask(serving, "/metrics", Metadata="true").status_code == 404
    shown = scraped(serving)
    assert 'imds_token_issuances_total{token="session",outcome="success"} 1' in shown
    assert not [secret for secret in (*SECRETS, token) if secret in shown]


def test_a_hostile_crawl_over_http_makes_no_series(serving: Serving) -> None:
    below = ("", "/latest", "/v1", "/latest/meta-data/iam/security-credentials")
    target = serving.url.removeprefix("http://").partition(":")

    def crawl(number: int) -> None:
        with socket.create_connection((target[0], int(target[2])), DEADLINE) as guest:
            guest.sendall(f"{number}".encode() * number + b"\r\n\r\n")
            assert guest.recv(100)
        with requests.Session() as session:
            for turn in range(300):
                session.request(
                    ("GET", "PUT", f"M{number}{turn}")[turn // 4 % 3],
                    f"{serving.url}{below[turn % len(below)]}/{number}/{turn}",
                    headers={"User-Agent": f"{number}-{turn}", "X-Other": f"{turn}"},
                    timeout=DEADLINE,
                )

    def names() -> set[str]:
        shown = re.sub(r" \S+$", "", scraped(serving), flags=re.MULTILINE)
        return set(shown.splitlines())

    crawl(1)
    before = names()
    crawl(2)
    assert names() == before


def test_requests_that_are_none_show_by_reason(serving: Serving) -> None:
    host, _, port = serving.url.removeprefix("http://").rpartition(":")
    for sent in (b"\x00\r\n\r\n", b"GET / HTTP/1.1\r\nA\r\n\r\n", b"G" * 70_000):
        with socket.create_connection((host, int(port)), DEADLINE) as guest:
            guest.sendall(sent)
            with suppress(ConnectionError):
                assert guest.recv(100) in {b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"}
    assert serving.metric('imds_malformed_requests_total{reason="not-http"}') == 2
    until(lambda: serving.metric('imds_malformed_requests_total{reason="head-too-long"}') == 1)


def test_who_asks_for_another_s_role_is_seen(serving: Serving) -> None:
    role = "/latest/meta-data/iam/security-credentials"
    assert ask(serving, role).status_code == 404
    for name in ("admin", "root"):
        assert ask(serving, f"{role}/{name}").status_code == 404
    vm = 'namespace="prod",vm="web-1",reason'
    assert serving.metric(f'imds_vm_refusals_total{{{vm}="unknown-identity"}}') == 2
    assert serving.metric(f'imds_vm_refusals_total{{{vm}="not-found"}}') == 1


def test_a_token_that_nobody_renews_shows(serving: Serving, tmp_path: Path) -> None:
    name = 'imds_credentials_expiry_timestamp_seconds{provider="serviceaccount"}'
    for ends in (1_999_999_999, 1_000_000_000):
        parts: tuple[dict[str, object], ...] = ({"alg": "none"}, {"exp": ends}, {})
        text = ".".join(encode(json.dumps(part).encode()) for part in parts)
        (tmp_path / "token").write_text(text)
        assert ask(serving, "/v1/token", Metadata="true").json()["token"] == text
        assert serving.metric(name) == ends


def test_a_broken_change_shows(serving: Serving, tmp_path: Path) -> None:
    assert "\nimds_reload_successful 1\n" in scraped(serving)
    (tmp_path / "vm.yaml").write_text("name: [")
    until(lambda: "\nimds_reload_successful 0\n" in scraped(serving))
    assert '\nimds_reloads_total{outcome="failure"} 1\n' in scraped(serving)
    assert "\nimds_ready 0\n" in scraped(serving)
    (tmp_path / "vm.yaml").write_text(VM.replace("prod", "other"))
    until(lambda: "\nimds_reload_successful 1\n" in scraped(serving))
    assert '\nimds_reloads_total{outcome="success"} 1\n' in scraped(serving)


class Listening(Serving):
    """One that may have no operator to tell of."""

    LISTENS = ("listening on", "try:")


def test_metrics_take_little_memory(tmp_path: Path) -> None:
    """At most 4 MiB for a thousand machines, at the peak of a scrape too."""
    folder = tmp_path / "vms"
    folder.mkdir()
    peers = [f"127.1.{number >> 8}.{number & 255}" for number in range(1_000)]
    for number, peer in enumerate(peers):
        (folder / f"{number}.yaml").write_text(
            f"name: web-{number}\npeer: {{addresses: [{peer}]}}\n"
        )

    def asked(operator: str) -> tuple[float, float]:
        with Listening(tmp_path, str(folder), operator=operator) as server:
            host, _, port = server.url.removeprefix("http://").partition(":")
            for peer in peers:
                with socket.create_connection((host, int(port)), DEADLINE, (peer, 0)) as guest:
                    guest.sendall(b"GET /latest/meta-data/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    guest.sendall(b"GET /no-such HTTP/1.0\r\n\r\n")
                    while guest.recv(65536):
                        pass
            own = figure(server, "RssAnon")
            if operator == "off":
                return own, 0
            Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
            before = figure(server, "VmHWM")
            assert scraped(server).count("imds_vm_requests_total{") > 1_000
            return own, figure(server, "VmHWM") - before

    without, _ = asked("off")
    own, more = asked("127.0.0.1:0")
    assert own - without + more < 4, (without, own, more)


def figure(server: Serving, name: str) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


# --------------------------------------------------------------------------------- Prometheus

QUERIES = {
    'up{job="imds"}': 1,
    'imds_requests_total{dialect="ec2",document="listing",status="2xx"}': 4,
    'imds_requests_total{dialect="ec2",document="user-data",status="2xx"}': 1,
    'imds_session_requests_total{dialect="ec2"}': 3,
    'imds_sessionless_requests_total{dialect="ec2"}': 2,
    'imds_vm_sessionless_requests_total{namespace="prod",vm="web-1"}': 2,
    'imds_token_issuances_total{token="serviceaccount",outcome="success"}': 1,
    'imds_token_issuances_total{token="session",outcome="refused"}': 1,
    'imds_session_token_lifetime_seconds_bucket{le="300"}': 1,
    'imds_ssrf_indications_total{signal="forwarded"}': 1,
    'imds_ssrf_indications_total{signal="header-missing"}': 1,
    "count(imds_token_issuance_duration_seconds_count)": 6,
    "imds_vms": 1,
    "imds_reload_successful": 1,
}


@pytest.mark.client
def test_prometheus_finds_what_happened(serving: Serving, tmp_path: Path) -> None:
    traffic(serving)
    target = serving.operator.removeprefix("http://")
    with prometheus(tmp_path, target) as running:
        value = running.value
        until(lambda: value('up{job="imds"}') == 1)
        assert {query: value(query) for query in QUERIES} == QUERIES
        assert value("process_resident_memory_bytes > 1e7")


def test_modes_boots_and_whom_is_spared_show(tmp_path: Path) -> None:
    for name, tokens in (("kept", "required"), ("old", "observe")):
        described = f"name: {name}\nnamespace: shop\ndialects: {{ec2: {{tokens: {tokens}}}}}\n"
        (tmp_path / name).mkdir()
        (tmp_path / name / "vm.yaml").write_text(described)
        with Serving(tmp_path / name, str(tmp_path / name / "vm.yaml")) as server:
            assert server.metric('imds_boots_total{outcome="completed"}') == 0
            ask(server, "/latest/meta-data/instance-id")
            spared = int(tokens == "observe")
            assert server.metric('imds_boots_total{outcome="completed"}') == spared
            assert server.metric(f'imds_vms_by_imdsv2_mode{{mode="{tokens}"}}') == 1
            vm = f'{{namespace="shop",vm="{name}"}}'
            assert server.metric(f"imds_vm_spared_requests_total{vm}") == spared
            assert server.metric(f"imds_vm_boot_stalled{vm}") == 0
            assert server.metric('imds_boot_stalls_total{cause="session"}') == 0
