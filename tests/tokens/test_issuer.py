"""``emulator.tokens``: the built-in issuer, and the one door to every source."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.message import JSON, ServiceToken
from emulator.errors import StartError, TokenUnavailable
from emulator.model.instance import Instance, Token
from emulator.tokens import DEFAULT_ISSUER, Tokens
from emulator.tokens.documents import PublicKey, jwks, thumbprint
from emulator.tokens.issuer import KEPT, KEY_NAME
from emulator.tokens.jwt import Shape, shape
from emulator.tokens.keys import generate
from emulator.tokens.service import offered
from tests.support.ports import FakePorts

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:16926"


class Store(dict[str, bytes]):
    """Keys in memory; says how often it was asked to keep one."""

    saved = 0

    def load(self, name: str) -> bytes | None:
        return self.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.saved += 1
        self[name] = data


class Broken(Store):
    def save(self, name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")


STORED = {KEY_NAME: generate()}

VM = Instance(
    name="vm",
    namespace="shop",
    service_account="web",
    uuid="11111111-1111-4111-8111-111111111111",
    tokens=(Token(), Token(audience="vault", lifetime=600)),
)


def give(tokens: Tokens, audience: str = "", instance: Instance = VM) -> ServiceToken:
    found = asyncio.run(tokens.token(instance, audience))
    assert found is not None
    return found


def claims(token: str) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_the_claims_are_kubernetes_without_a_pod(fake_ports: FakePorts) -> None:
    issued = give(Tokens(fake_ports.ports, Store(STORED), URL))
    now = int(fake_ports.now)
    found = claims(issued.token)
    assert uuid.UUID(str(found.pop("jti"))).version == 4
    assert found == {
        "aud": [URL],
        "exp": now + 3600,
        "iat": now,
        "iss": URL,
        "kubernetes.io": {
            "namespace": "shop",
            "serviceaccount": {"name": "web", "uid": "695464d3-54df-5bba-8968-c5deb42473df"},
        },
        "nbf": now,
        "sub": "system:serviceaccount:shop:web",
    }
    assert issued.expires == now + 3600
    header = jwt.get_unverified_header(issued.token)
    assert set(header) == {"alg", "kid", "typ"}
    assert shape(issued.token) is Shape.WHOLE


def test_the_audience_and_lifetime_are_the_owners(fake_ports: FakePorts) -> None:
    found = claims(give(Tokens(fake_ports.ports, Store(STORED), URL), "vault").token)
    assert found["aud"] == ["vault"]
    assert found["exp"] == int(fake_ports.now) + 600


def test_the_issuer_is_kubernetes_own_by_default(fake_ports: FakePorts) -> None:
    found = claims(give(Tokens(fake_ports.ports, Store(STORED))).token)
    assert (found["iss"], found["aud"]) == (DEFAULT_ISSUER, [DEFAULT_ISSUER])


def test_the_issuer_can_be_named_when_its_address_is_known(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED))
    tokens.issue_as(URL)
    assert claims(give(tokens).token)["iss"] == URL


def test_a_token_is_given_again_until_four_fifths_of_its_life(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED), URL)
    first = give(tokens)
    fake_ports.advance(3600 * 0.8 - 1)
    assert give(tokens) == first
    fake_ports.advance(1)
    second = give(tokens)
    assert second.token != first.token
    assert second.expires == fake_ports.now + 3600


def test_a_clock_set_back_makes_a_new_token(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED), URL)
    first = give(tokens)
    fake_ports.advance(-10)
    assert give(tokens).token != first.token


@given(
    st.lists(
        st.tuples(st.integers(60, 90_000), st.floats(0, 100_000), st.sampled_from("ab")),
        max_size=8,
    )
)
def test_what_is_given_always_has_a_fifth_of_its_life_left(
    asked: list[tuple[int, float, str]],
) -> None:
    fake_ports = FakePorts()
    tokens = Tokens(fake_ports.ports, Store(STORED), URL)
    for lifetime, pause, audience in asked:
        fake_ports.advance(pause)
        offer = Token(audience=audience, lifetime=lifetime)
        vm = Instance(name="vm", uuid=VM.uuid, tokens=(offer,))
        given_token = give(tokens, audience, vm)
        assert given_token.expires is not None
        left = given_token.expires - fake_ports.now
        assert lifetime * 0.2 - 1 <= left <= lifetime
        assert claims(given_token.token)["aud"] == [audience]


def test_a_token_does_not_show_where_it_is_represented(fake_ports: FakePorts) -> None:
    issued = give(Tokens(fake_ports.ports, Store(STORED), URL))
    assert issued.token not in f"{issued} {issued!r} {[issued]}"


def test_machines_do_not_share_tokens(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED), URL)
    other = Instance(name="other", namespace="shop", service_account="web", uuid="2")
    assert give(tokens).token != give(tokens, instance=other).token


def test_tokens_kept_for_reuse_are_bounded(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED), URL)
    kept = tokens._issuer._issued
    give(tokens)
    (first,) = kept.items()
    kept.update({(*first[0][:-1], number): first[1] for number in range(KEPT - 1)})
    give(tokens, "vault")
    assert len(kept) == KEPT
    assert first[0] not in kept


def test_the_key_is_made_once_and_kept(fake_ports: FakePorts) -> None:
    store = Store()

    async def many() -> list[ServiceToken | None]:
        tokens = Tokens(fake_ports.ports, store, URL)
        return await asyncio.gather(*(tokens.token(VM, name) for name in ("", "vault", "vault")))

    issued = asyncio.run(many())
    assert store.saved == 1
    restarted = Tokens(fake_ports.ports, store, URL)
    asyncio.run(restarted.prepare())
    assert store.saved == 1
    for found in issued:
        assert found is not None
        verify(restarted, found.token)


def verify(tokens: Tokens, token: str) -> None:
    keys = jwt.PyJWKSet.from_json(tokens.pages()["/openid/v1/jwks"]().body.decode())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        options={"verify_aud": False, "verify_iat": False, "verify_nbf": False},
    )


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN", "small", "elliptic", "encrypted"])
def test_a_key_that_cannot_be_used_is_named_and_never_replaced(
    fake_ports: FakePorts, pem: bytes | str
) -> None:
    store = Store({KEY_NAME: pem if isinstance(pem, bytes) else odd_key(pem)})
    before = dict(store)
    tokens = Tokens(fake_ports.ports, store, URL)
    with pytest.raises(StartError, match="not an unencrypted RSA key of 2048 bits"):
        asyncio.run(tokens.prepare())
    with pytest.raises(TokenUnavailable):
        give(tokens)
    assert store == before


def odd_key(kind: str) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    key = rsa.generate_private_key(65537, 1024 if kind == "small" else 2048)
    if kind == "elliptic":
        key = ec.generate_private_key(ec.SECP256R1())
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if kind == "encrypted":
        protection = serialization.BestAvailableEncryption(b"x")
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


def test_a_key_that_cannot_be_kept_is_not_used(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Broken(), URL)
    with pytest.raises(StartError, match="No space left on device"):
        asyncio.run(tokens.prepare())
    assert tokens.pages()["/openid/v1/jwks"]().body == b'{"keys":[]}'


def test_what_verifiers_read_is_consistent(fake_ports: FakePorts) -> None:
    tokens = Tokens(fake_ports.ports, Store(STORED), f"{URL}/")
    pages = tokens.pages()
    assert json.loads(pages["/openid/v1/jwks"]().body) == {"keys": []}
    issued = give(tokens)
    discovery = pages["/.well-known/openid-configuration"]()
    assert discovery.type == JSON
    assert json.loads(discovery.body) == {
        "issuer": claims(issued.token)["iss"],
        "jwks_uri": f"{URL}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    keys = pages["/openid/v1/jwks"]()
    assert keys.type == "application/jwk-set+json"
    (key,) = json.loads(keys.body)["keys"]
    assert set(key) == {"alg", "e", "kid", "kty", "n", "use"}


def test_the_thumbprint_is_that_of_the_standards_example() -> None:
    """RFC 7638, 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0"
        "_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh"
        "AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    numbers = jwt.PyJWK({"kty": "RSA", "n": modulus, "e": "AQAB"}).key.public_numbers()
    key = PublicKey(modulus=numbers.n, exponent=numbers.e)
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert json.loads(jwks([key, key]))["keys"][1]["n"] == modulus


@pytest.mark.parametrize(
    ("tokens", "asked", "expected"),
    [
        ((), "", None),
        ((), "vault", None),
        ((Token(),), "vault", None),
        ((Token(audience="a"), Token(audience="b")), "", Token(audience="a")),
        ((Token(audience="a"), Token(file="/t")), "", Token(file="/t")),
        ((Token(audience="a"), Token(audience="b")), "b", Token(audience="b")),
        (
            (Token(audience="a", file="/1"), Token(audience="a")),
            "a",
            Token(audience="a", file="/1"),
        ),
    ],
)
def test_which_token_is_offered(
    tokens: tuple[Token, ...], asked: str, expected: Token | None
) -> None:
    assert offered(Instance(name="vm", tokens=tokens), asked) == expected


def test_an_audience_without_an_offer_gets_none(fake_ports: FakePorts) -> None:
    assert asyncio.run(Tokens(fake_ports.ports, Store()).token(VM, "other")) is None


def test_a_file_is_read_and_nothing_signed(fake_ports: FakePorts, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from a file")
    fake_ports.now = path.stat().st_ctime + 60
    store = Store()
    vm = Instance(name="vm", tokens=(Token(file=str(path)),))
    assert give(Tokens(fake_ports.ports, store), instance=vm).token == "from a file"
    assert not store


def test_cryptography_is_imported_only_to_sign(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from a file")
    program = f"""
import asyncio, sys
from emulator.model.instance import Instance, Token
from emulator.ports import SYSTEM
from emulator.tokens import Tokens
tokens = Tokens(SYSTEM, None)
vm = Instance(name="vm", tokens=(Token(file={str(path)!r}),))
print(asyncio.run(tokens.token(vm, "")).token)
for page in tokens.pages().values():
    page()
print([name for name in sys.modules if name.startswith("cryptography")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"from a file\n[]\n"
