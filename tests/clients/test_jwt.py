"""PyJWT verifies what the built-in issuer signs, knowing nothing but the issuer's URL."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.support.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.client, pytest.mark.xdist_group("jwt")]

VM = """
name: web-1
namespace: shop
service_account: web
dialects: [kubevirt]
tokens:
  - {}
  - audience: vault
    lifetime: 600
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(VM, tmp_path_factory.mktemp("jwt")) as running:
        yield running


def token(server: Served, query: str = "") -> str:
    found: str = json.loads(server.get(f"/v1/token{query}"))["token"]
    return found


def verify(server: Served, text: str, audience: str) -> dict[str, Any]:
    """Verify as any OIDC client does: issuer, discovery, key set, signature, claims."""
    where = f"{server.operator}/.well-known/openid-configuration"
    with urllib.request.urlopen(where, timeout=10) as answer:
        discovered = json.load(answer)
    assert discovered["issuer"] == server.operator
    key = jwt.PyJWKClient(discovered["jwks_uri"]).get_signing_key_from_jwt(text)
    claims: dict[str, Any] = jwt.decode(
        text,
        key,
        algorithms=discovered["id_token_signing_alg_values_supported"],
        audience=audience,
        issuer=discovered["issuer"],
        options={"require": ["exp", "iat", "nbf", "iss", "sub", "aud", "jti"]},
    )
    return claims


def test_a_guests_token_verifies_from_the_issuers_url_alone(server: Served) -> None:
    claims = verify(server, token(server), server.operator)
    assert claims["sub"] == "system:serviceaccount:shop:web"
    assert claims["kubernetes.io"]["namespace"] == "shop"
    assert "pod" not in claims["kubernetes.io"]
    assert claims["exp"] - claims["iat"] == 3600


def test_the_named_audience_is_the_only_one(server: Served) -> None:
    text = token(server, "?audience=vault")
    claims = verify(server, text, "vault")
    assert claims["exp"] - claims["iat"] == 600
    with pytest.raises(jwt.InvalidAudienceError):
        verify(server, text, server.operator)


def test_a_changed_token_does_not_verify(server: Served) -> None:
    header, claims, signature = token(server).split(".")
    changed = claims[:-2] + ("A" if claims[-2] != "A" else "B") + claims[-1]
    with pytest.raises(jwt.InvalidTokenError):
        verify(server, f"{header}.{changed}.{signature}", server.operator)


def test_the_key_outlives_the_process(tmp_path: Path) -> None:
    with served(VM, tmp_path) as first:
        before = jwt.get_unverified_header(token(first))["kid"]
    with served(VM, tmp_path) as second:
        assert jwt.get_unverified_header(token(second))["kid"] == before
    (key,) = (tmp_path / "state").glob("*.pem")
    assert key.stat().st_mode & 0o777 == 0o600


def test_an_issuer_behind_another_address_is_named_by_its_owner(tmp_path: Path) -> None:
    with served(VM, tmp_path, "--issuer-url", "https://issuer.example") as server:
        claims = jwt.decode(token(server), options={"verify_signature": False})
        where = f"{server.operator}/.well-known/openid-configuration"
        with urllib.request.urlopen(where, timeout=10) as answer:
            discovered = json.load(answer)
    assert claims["iss"] == discovered["issuer"] == "https://issuer.example"
    assert discovered["jwks_uri"] == "https://issuer.example/openid/v1/jwks"
