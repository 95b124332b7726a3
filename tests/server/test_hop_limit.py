"""The hop limit of session tokens, on the wire (contract 3.4).

A token that is asked for through a router, as a container's would be, dies on its way if the limit
is 1, however often the kernel sends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEFAULT_HOPS = 64
FAMILIES = ("4", "6")

pytestmark = pytest.mark.namespace


class Seen:
    """What clients got under one limit, and what the server sent."""

    def __init__(self, limit: int, folder: Path) -> None:
        self.limit = limit
        (folder / "vm.yaml").write_text(
            f"name: vm\ndialects: {{ec2: {{tokens: optional, hop_limit: {limit}}}}}\n"
        )
        serve = [sys.executable, "-m", "emulator", "serve", str(folder / "vm.yaml")]
        serve += ["--listen", "169.254.169.254:80", "--listen", "[fd00:ec2::254]:80"]
        serve += ["--operator", "off", "--audit", "off", "--state", str(folder / "state")]
        inside = [sys.executable, str(Path(__file__).with_name("hops.py")), json.dumps(serve)]
        done = subprocess.run(
            ["unshare", "--map-root-user", "--net", *inside],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        self.got: dict[str, Any] = said["got"]
        self._packets: list[dict[str, Any]] = said["packets"]

    def sent(self, client: str, family: str, request: str) -> list[dict[str, Any]]:
        """Give what was sent in answer: packets with data, or that end the connection."""
        port = self.got[client + family][request]["port"]
        return [
            packet
            for packet in self._packets
            if (packet["family"], packet["port"]) == (family, port)
            and (packet["size"] or packet["fin"])
        ]


@pytest.fixture(scope="module", params=[1, 2])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return Seen(request.param, tmp_path_factory.mktemp("hops"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_direct_client_gets_its_token(seen: Seen, family: str) -> None:
    put = seen.got["near" + family]["put"]
    assert put["answer"].startswith("HTTP/1.1 200 OK\r\n")
    assert len(put["answer"].partition("\r\n\r\n")[2]) > 40


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_behind_a_router_gets_it_if_the_limit_reaches_there(
    seen: Seen, family: str
) -> None:
    put = seen.got["far" + family]["put"]
    assert put["answer"].startswith("HTTP/1.1 200 OK\r\n") is (seen.limit == 2)
    if seen.limit == 1:
        assert (put["answer"], put["closed"]) == ("", False)


@pytest.mark.parametrize("client", ["near", "far"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_packet_with_a_token_has_the_limit(seen: Seen, client: str, family: str) -> None:
    sent = seen.sent(client, family, "put")
    assert any(packet["size"] for packet in sent)
    assert {packet["hops"] for packet in sent} == {seen.limit}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_sent_again_has_it_too(seen: Seen, family: str) -> None:
    sent = seen.sent("far", family, "put")
    again = len(sent) - len({packet["sequence"] for packet in sent})
    assert (again >= 2) is (seen.limit == 1)
    assert {packet["hops"] for packet in sent} == {seen.limit}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_connection_of_a_token_is_closed(seen: Seen, family: str) -> None:
    put = seen.got["near" + family]["put"]
    assert put["closed"]
    assert "\r\nConnection: close\r\n" in put["answer"]
    assert any(packet["fin"] for packet in seen.sent("near", family, "put"))


@pytest.mark.parametrize("client", ["near", "far"])
@pytest.mark.parametrize("family", FAMILIES)
def test_documents_travel_as_far_as_ever(seen: Seen, client: str, family: str) -> None:
    get = seen.got[client + family]["get"]
    assert get["answer"].startswith("HTTP/1.1 200 OK\r\n")
    assert not get["closed"]
    sent = [packet for packet in seen.sent(client, family, "get") if packet["size"]]
    assert {packet["hops"] for packet in sent} == {DEFAULT_HOPS}
