"""``Metadata-Flavor: Google`` on the wire: where Google's libraries look for it, nowhere else."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from tests.server.process import DEADLINE, Serving

ASKED = {"Metadata-Flavor": "Google"}
# What is Google's, with and without what it asks for, and what is not.
GOOGLES = ("/", "//", "/computeMetadata", "/computeMetadata/v1/instance/id", "/computeMetadata/x")
OTHERS = ("/healthz", "/x", "/computeMetadatax", "/metadata/instance", "/v1/token", "/latest")
METHODS = ("GET", "HEAD", "POST", "DELETE", "BREW")


def flavors(server: Serving, paths: tuple[str, ...]) -> set[str | None]:
    """Give the header's values in all answers to all ways of asking for ``paths``."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=DEADLINE)
    found = set()
    for path in paths:
        for method in METHODS:
            for headers in ({}, ASKED, {**ASKED, "X-Forwarded-For": "10.0.0.1"}):
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                _ = answer.read()
                found.add(answer.headers["Metadata-Flavor"])
    connection.close()
    return found


@pytest.mark.parametrize("dialects", ["[gce]", "[openstack, ec2, kubevirt, nocloud, gce, azure]"])
def test_it_is_on_all_that_is_google_s(tmp_path: Path, dialects: str) -> None:
    (tmp_path / "vm.yaml").write_text(f"name: web-1\ndialects: {dialects}\n")
    with Serving(tmp_path, str(tmp_path / "vm.yaml")) as server:
        assert flavors(server, GOOGLES) == {"Google"}
        assert flavors(server, OTHERS) == {None}


def test_it_is_nowhere_else(tmp_path: Path) -> None:
    dialects = "[openstack, ec2, kubevirt, nocloud, azure]"
    (tmp_path / "vm.yaml").write_text(f"name: web-1\ndialects: {dialects}\n")
    with Serving(tmp_path, str(tmp_path / "vm.yaml")) as server:
        assert flavors(server, GOOGLES + OTHERS) == {None}


def test_a_stranger_gets_none(tmp_path: Path) -> None:
    folder = tmp_path / "machines"
    folder.mkdir()
    text = "name: web-1\ndialects: [gce]\npeer: {addresses: [192.0.2.1]}\n"
    (folder / "vm.yaml").write_text(text)
    with Serving(tmp_path, str(folder)) as server:
        assert flavors(server, GOOGLES + OTHERS) == {None}
