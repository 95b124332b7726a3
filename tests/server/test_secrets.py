"""Whatever guests send, what they were given is in no log, audit line, metric or error."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests

from tests.server.process import DEADLINE, Serving
from tests.support import audited

if TYPE_CHECKING:
    from pathlib import Path

SERVICE_TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzaG9wOndlYi0xIn0." + "Zq8-_3Xk" * 43
PASSWORD = "correct-horse-battery"
DESCRIPTION = """
name: web-1
user_data: "#cloud-config\\npassword: {password}\\n"
admin_pass: {password}
tokens: [{{file: {token}}}]
dialects: [ec2, gce, azure, openstack, kubevirt]
ec2:
  credentials: {{role: web, provider: generated}}
gce:
  service_accounts:
  - email: web@shop.iam.gserviceaccount.com
    scopes: [https://www.googleapis.com/auth/cloud-platform]
    provider: generated
"""
SECONDS = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
# As few characters as betray a secret to nobody, and more than chance repeats.
BETRAYS = 16
REQUESTS = 600

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "BREW")
PATHS = (
    "/latest/meta-data",
    "/latest/api/token",
    "/latest/user-data",
    "/latest/meta-data/iam/security-credentials",
    "/openstack/latest/meta_data.json",
    "/openstack/latest/password",
    "/computeMetadata/v1/instance",
    "/computeMetadata/v1/instance/guest-attributes/a",
    "/metadata/instance",
    "/metadata/identity/oauth2/token",
    "/v1/token",
    "/nothing",
    "",
)
HEADERS = (
    *(TOKEN, SECONDS, "User-Agent", "Host", "Metadata", "Metadata-Flavor", "X-Forwarded-For"),
    *(
        "Authorization",
        "Cookie",
        "Accept",
        "X-Instance-ID",
        "traceparent",
        "Bad Name",
    ),
)


@pytest.fixture
def server(tmp_path: Path) -> Serving:
    token, description = tmp_path / "token", tmp_path / "web-1.yaml"
    token.write_text(SERVICE_TOKEN)
    description.write_text(DESCRIPTION.format(password=PASSWORD, token=token))
    return Serving(tmp_path, str(description), "--log-level", "debug")


def given(server: Serving) -> list[str]:
    """Ask for all that is secret."""
    session = requests.put(
        server.url + "/latest/api/token", headers={SECONDS: "600"}, timeout=DEADLINE
    ).text
    key = server.get("/latest/meta-data/iam/security-credentials/web", **{TOKEN: session}).json()
    google = server.get(
        "/computeMetadata/v1/instance/service-accounts/default/token",
        **{"Metadata-Flavor": "Google"},
    )
    assert SERVICE_TOKEN in server.get("/v1/token", Metadata="true").text
    access = google.json()["access_token"]
    return [session, SERVICE_TOKEN, key["SecretAccessKey"], key["Token"], access]


def request(rng: random.Random, secrets: list[str]) -> bytes:
    """Make a request with secrets in places where they belong, and where they do not."""

    def word() -> str:
        secret = rng.choice(secrets)
        # A piece may be as long as it likes; a part of the others stands around it.
        return rng.choice((secret, secret, secret[: rng.randrange(40, 64)], f"x={secret};"))

    path = rng.choice(PATHS)
    for _ in range(rng.randrange(3)):
        path += rng.choice(("/", "/./", "//", "?", "/..;/")) + rng.choice(
            (word(), quote(word(), ""))
        )
    lines = [f"{rng.choice((*METHODS, word()[:9]))} {path or '/'} HTTP/1.{rng.choice('001')}"]
    for name in rng.sample(HEADERS, rng.randrange(6)):
        value = rng.choice((word(), f"aws-cli/2 {word()}", f"Bearer {word()}", "true", "Google"))
        lines.append(f"{name}: {value}")
    body = rng.choice(("", word(), PASSWORD))
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


def asked(server: Serving, what: bytes) -> bytes:
    """Send ``what``, and give the answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as connection:
        connection.sendall(what)
        found = b""
        try:
            while data := connection.recv(1 << 16):
                found += data
        except ConnectionError:
            pass
    return found


def test_what_a_guest_was_given_is_nowhere_else(server: Serving) -> None:
    rng = random.Random(7)  # noqa: S311  chance, not secrecy
    errors = b""
    with server:
        secrets = given(server)
        for _ in range(REQUESTS):
            answer = asked(server, request(rng, secrets))
            if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 100")):
                errors += answer
        lines = audited.settled(server.log, server.operator)
        assert len(lines) > REQUESTS / 2
        said = server.log.read_text()
        said += requests.get(server.operator + "/metrics", timeout=DEADLINE).text
        assert server.stop() == 0
    said += "\n".join(server.lines) + errors.decode("latin-1")
    assert "[redacted]" in said
    assert PASSWORD not in said
    for secret in secrets:
        pieces = {secret[at : at + BETRAYS] for at in range(len(secret) - BETRAYS)}
        assert [piece for piece in pieces if piece in said] == []
