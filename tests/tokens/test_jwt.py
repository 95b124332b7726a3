"""``emulator.tokens.jwt``: what a text says of itself."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.tokens.jwt import Shape, decode, encode, expiry, shape

HEADER = encode(b'{"alg":"RS256"}')
UNSIGNED = encode(b'{"alg":"none"}')
NAMELESS = encode(b'{"typ":"JWT"}')
PADDED = urlsafe_b64encode(b'{"exp":12}').decode()


def claims(value: object) -> str:
    return encode(json.dumps(value).encode())


@given(st.binary(max_size=100))
def test_base64url_is_that_of_the_standard_library_less_padding(data: bytes) -> None:
    assert encode(data) == urlsafe_b64encode(data).decode().rstrip("=")
    assert decode(encode(data)) == data


@given(st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_an_integer_end_is_found(exp: int) -> None:
    assert expiry(f"any.{claims({'exp': exp})}.any") == float(exp)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        f"a.{claims({'exp': 1})}",
        f"a.{claims({'exp': 1})}.c.d",
        f"a.{claims({})}.c",
        f"a.{claims({'exp': 0})}.c",
        f"a.{claims({'exp': '1'})}.c",
        f"a.{claims({'exp': 1.5})}.c",
        f"a.{claims({'exp': 1e3})}.c",
        f"a.{claims({'exp': 2**63})}.c",
        f"a.{claims({'exp': None})}.c",
        f"a.{claims([1])}.c",
        f"a.{encode(b'{')}.c",
        f"a.{encode(bytes([0xFF]))}.c",
        f"a.{PADDED}.c",
        "a.e30+.c",
        "a.e30/.c",
        "a.é30.c",
        "a.e30 .c",
    ],
)
def test_no_end_is_found_where_kubevirt_imds_finds_none(token: str) -> None:
    assert expiry(token) is None


@given(st.text())
def test_any_text_has_a_shape_and_an_end_or_none(text: str) -> None:
    assert shape(text) in Shape
    expiry(text)


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_what_another_library_signs_is_whole_and_no_piece_of_it_is(algorithm: str) -> None:
    token = signed(algorithm)
    assert shape(token) is Shape.WHOLE
    for end in range(len(token)):
        assert shape(token[:end]) is not Shape.WHOLE
    signature = token.rindex(".")
    assert all(shape(token[:end]) is Shape.PIECE for end in range(signature))


def signed(algorithm: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm in curves:
        key = ec.generate_private_key(curves[algorithm])
    elif algorithm == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(65537, 2048)
    return pyjwt.encode({"sub": "me"}, key, algorithm)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("s.3cr3t", Shape.OPAQUE),
        ("not.a.jwt", Shape.OPAQUE),
        (f"{HEADER}.{claims({})}.{encode(bytes(256))}", Shape.WHOLE),
        (f"{HEADER}.{claims({})}.{encode(bytes(255))}", Shape.OPAQUE),
        (f"{HEADER}.{claims({})}.", Shape.OPAQUE),
        (f"{UNSIGNED}.{claims({})}.", Shape.OPAQUE),
        (f"{HEADER}.{claims({})}.!", Shape.PIECE),
        (f"{HEADER}.{claims([])}.{encode(bytes(256))}", Shape.PIECE),
        (f"{HEADER}.{claims({})}", Shape.PIECE),
        (f"{NAMELESS}.{claims({})}.{encode(bytes(256))}", Shape.PIECE),
        (f"{HEADER}.key.iv.text.tag", Shape.OPAQUE),
        (f"{HEADER}..iv.text.tag", Shape.OPAQUE),
        (f"{HEADER}.key.iv.text.", Shape.PIECE),
        ("eyJ", Shape.PIECE),
        ("e", Shape.PIECE),
        ("", Shape.PIECE),
    ],
)
def test_shapes(token: str, expected: Shape) -> None:
    assert shape(token) is expected
