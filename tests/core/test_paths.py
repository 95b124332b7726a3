"""Paths have one spelling (contract 0.1-3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.core.paths import authority, normalise, split_target


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("/", "/"),
        ("//", "/"),
        ("", "/"),
        ("/latest//meta-data/ramdisk-id", "/latest/meta-data/ramdisk-id"),
        ("/latest/meta-data/", "/latest/meta-data"),
        ("/latest/./meta-data/../user-data", "/latest/user-data"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/latest/%2e%2e/openstack", "/openstack"),
        ("/latest%2Fmeta-data", "/latest/meta-data"),
        ("/a%zz", "/a%zz"),
        ("/%ff", "/\ufffd"),
        ("/.hidden", "/.hidden"),
        ("/\xc3\xa9", "/é"),
        ("/%C3%A9", "/é"),
        ("/\xff", "/\ufffd"),
    ],
)
def test_a_path_is_normalised(given_path: str, expected: str) -> None:
    assert normalise(given_path) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1/token?audience=vault", ("/v1/token", "audience=vault")),
        ("http://169.254.169.254/latest/?x", ("/latest", "x")),
        ("HTTPS://h", ("/", "")),
        ("http://h?a=/latest", ("/", "a=/latest")),
        ("h", ("/h", "")),
        ("*", ("/*", "")),
        ("ftp://h/x", ("/ftp:/h/x", "")),
    ],
)
def test_a_target_is_split(target: str, expected: tuple[str, str]) -> None:
    assert split_target(target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://h:80/latest", "h:80"),
        ("HTTP://h?x", "h"),
        ("/http://h/", ""),
        ("ftp://h/", ""),
        ("http:///x", ""),
    ],
)
def test_the_absolute_form_names_a_host(target: str, expected: str) -> None:
    assert authority(target) == expected


@given(st.text(alphabet="ab/.%2eEfF\x00é"))
def test_a_normalised_path_has_no_other_spelling(path: str) -> None:
    result = normalise(path if path.startswith("/") else "/" + path)
    assert result.startswith("/")
    assert result == "/" or not result.endswith("/")
    assert "//" not in result
    assert not {".", ".."} & set(result.split("/"))
