"""A machine that moves to another pod while it runs finds the same server there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from subprocess import PIPE

import pytest

from tests.sidecar.world import ARGUMENTS, IPV4, IPV6, KEY, OURS, folder, get
from tests.support.launcher import Bridge, Guest, Launcher, Masquerade
from tests.support.namespaces import PATIENCE, output

pytestmark = [pytest.mark.namespace, pytest.mark.xdist_group("sidecar")]

PUT = ("--request", "PUT", "--header", "X-aws-ec2-metadata-token-ttl-seconds: 600")

DOCUMENTS = (
    "/openstack/2018-08-27/meta_data.json",
    "/openstack/latest/user_data",
    "/openstack",
    "/latest/dynamic/instance-identity/document",
    "/latest/meta-data/",
    "/v1/instance",
    "/computeMetadata/v1/?recursive=true",
)

# Asks for the next change, notices that nobody answers any more, and asks again.
WAITER = """
import http.client, json, socket, time
WAIT = "/computeMetadata/v1/instance/?recursive=true&wait_for_change=true"
class Connection(http.client.HTTPConnection):
    def connect(self):
        super().connect()
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1)):
            self.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
def ask(query):
    connection = Connection("169.254.169.254", 80, timeout=30)
    connection.request("GET", WAIT + query, headers={"Metadata-Flavor": "Google"})
    print("asked", flush=True)
    answer = connection.getresponse()
    return answer.status, answer.getheader("ETag"), json.loads(answer.read())["name"]
first = ask("&timeout_sec=0")
try:
    lost = str(ask("&last_etag=" + first[1]))
except OSError as error:
    lost = type(error).__name__
again = ask("&timeout_sec=1&last_etag=" + first[1])
print(json.dumps([first, lost, again]), flush=True)
"""


@pytest.fixture(scope="module", params=[Masquerade(), Bridge()], ids=["masquerade", "bridge"])
def pods(request: pytest.FixtureRequest) -> Iterator[tuple[Launcher, Launcher]]:
    """Give the source's pod and the target's, each with its own sidecar and the same keys."""
    files = {"keys/session.key": KEY, "secrets/user-data": "#cloud-config\n"}
    with ExitStack() as stack:
        both = []
        for _ in range(2):
            made = stack.enter_context(folder(files))
            launcher = stack.enter_context(Launcher(request.param))
            launcher.hand_over()
            stack.enter_context(launcher.sidecar(made, *ARGUMENTS)).listening()
            both.append(launcher)
        yield both[0], both[1]


@pytest.fixture
def guest(pods: tuple[Launcher, Launcher]) -> Iterator[Guest]:
    """Give a guest in the source's pod."""
    guest = pods[0].boot()
    yield guest
    guest.unplug()


def test_a_token_of_before_is_good_afterwards(
    pods: tuple[Launcher, Launcher], guest: Guest
) -> None:
    token = get(guest, IPV4, "/latest/api/token", *PUT)[1]
    with_token = ("--header", f"X-aws-ec2-metadata-token: {token}")
    pods[1].plug(guest)
    assert get(guest, IPV4, "/latest/meta-data/instance-id", *with_token)[0] == 200
    spoilt = ("--header", f"X-aws-ec2-metadata-token: {token[:-2]}xx")
    assert get(guest, IPV4, "/latest/meta-data/instance-id", *spoilt)[0] == 401


def test_what_it_is_told_stays_the_same(pods: tuple[Launcher, Launcher], guest: Guest) -> None:
    def told() -> list[tuple[int, object]]:
        return [_lasting(*get(guest, IPV6, path)) for path in DOCUMENTS]

    before = told()
    pods[1].plug(guest)
    assert told() == before
    assert {status for status, _ in before} == {200}


def _lasting(status: int, body: str) -> tuple[int, object]:
    """Leave out what is new in each answer."""
    if '"random_seed"' not in body:
        return status, body
    document = json.loads(body)
    assert len(document.pop("random_seed")) > 100
    return status, document


def test_what_it_knows_of_the_source_does_no_harm(
    pods: tuple[Launcher, Launcher], guest: Guest
) -> None:
    for address in OURS:
        guest.run("ip", "route", "replace", address, "dev", "eth0")
        assert get(guest, address)[0] in {200, 404}
    before = guest.run("ip", "neigh", "show", "dev", "eth0")
    pods[1].plug(guest)
    assert guest.run("ip", "neigh", "show", IPV4, "dev", "eth0") in before
    for address in OURS:
        assert get(guest, address)[0] in {200, 404}


def test_who_waited_for_a_change_asks_again(pods: tuple[Launcher, Launcher], guest: Guest) -> None:
    with guest.start(sys.executable, "-c", WAITER, stdout=PIPE) as waiter:
        assert [output(waiter).readline() for _ in range(2)] == ["asked\n"] * 2
        pods[1].plug(guest)
        assert output(waiter).readline() == "asked\n"
        first, lost, again = json.loads(output(waiter).readline())
        assert waiter.wait(PATIENCE) == 0
    assert (first[0], again[0], lost) == (200, 200, "ConnectionResetError")
    # Nothing has changed, and so the target says.
    assert first == again
