"""Doors serve what a dialect has at an address of its own; the operator sees who came by."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request
from emulator.server import guests
from emulator.server.machine import Machine
from tests.server.process import DEADLINE, Serving, until
from tests.server.support import Bench

SAID = {"Metadata": "true"}
FLAVOR = {"Metadata-Flavor": "Google"}
TREE = "/computeMetadata/v1/instance"
READY = b"<Health><State>Ready</State></Health>"
NOT_READY = b"<Health><State>NotReady</State><Description>no disk</Description></Health>"
AZURE = "name: web-1\ndialects: [azure]\n"
BOTH = "name: web-1\ndialects: {azure: on, gce: {guest_attributes: enabled}}\n"

# What each of the two addresses has; the other one has none of it.
INSIDE = ["/machine?comp=goalstate", "/machine/?comp=goalstate", "/?comp=versions"]
OUTSIDE = [
    "/healthz",
    "/metadata/versions",
    "/metadata/instance?api-version=2021-02-01",
    "/metadata/scheduledevents?api-version=2020-07-01",
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x",
    "/metadata/attested/document?api-version=2021-02-01",
]


def described(folder: Path, text: str = AZURE) -> str:
    path = folder / "vm.yaml"
    path.write_text(text)
    return str(path)


def listeners(server: Serving) -> list[str]:
    return [
        line.partition(" on ")[2]
        for line in server.lines
        if line.startswith(("listening on ", "wireserver on "))
    ]


def asked(url: str, path: str, method: str = "GET", body: bytes = b"") -> int:
    return requests.request(
        method, url + path, headers=SAID, data=body, timeout=DEADLINE
    ).status_code


def told(server: Serving) -> Any:
    page = requests.get(server.operator + "/guests", timeout=DEADLINE)
    assert page.headers["Content-Type"] == "application/json"
    return page.json()


def test_a_door_has_the_wireserver_and_the_ordinary_address_all_else(tmp_path: Path) -> None:
    with Serving(tmp_path, described(tmp_path), "--door", "wireserver=127.0.0.1:0") as server:
        ordinary, door = (f"http://{where}" for where in listeners(server))
        assert ordinary == server.url != door
        assert [asked(door, path) for path in INSIDE] == [200] * len(INSIDE)
        assert [asked(ordinary, path) for path in INSIDE] == [404] * len(INSIDE)
        assert [asked(ordinary, path) for path in OUTSIDE] == [200] * len(OUTSIDE)
        assert [asked(door, path) for path in OUTSIDE] == [404] * len(OUTSIDE)
        assert told(server) == {}
        report = "/machine?comp=health"
        assert asked(ordinary, report, "POST", READY) == 404
        assert told(server) == {}
        assert asked(door, report, "POST", READY) == 200
        assert told(server) == {"default/web-1": {"boot": {"state": "Ready", "why": ""}}}
        paths = {str(entry["path"]) for entry in server.seen()}
        assert {"wireserver:/machine", "wireserver:/", "wireserver:/healthz"} <= paths
        assert server.stop() == 0


def test_no_way_of_writing_a_path_leads_through_the_wall(tmp_path: Path) -> None:
    with Serving(tmp_path, described(tmp_path), "--door", "wireserver=127.0.0.1:0") as server:
        ordinary, door = listeners(server)
        for where, target, status in (
            (ordinary, "wireserver:/machine?comp=goalstate", 404),
            (ordinary, "/wireserver:/machine?comp=goalstate", 404),
            (ordinary, "http://x/wireserver:/machine?comp=goalstate", 404),
            (ordinary, "//wireserver:/machine?comp=goalstate", 404),
            (ordinary, "/x/../wireserver:/machine?comp=goalstate", 404),
            (door, "http://168.63.129.16/machine?comp=goalstate", 200),
            (door, "/x/../machine?comp=goalstate", 200),
            (door, "/../metadata/versions", 404),
            (door, "/wireserver:/machine?comp=goalstate", 404),
            (door, "*", 404),
        ):
            host, _, port = where.partition(":")
            connection = HTTPConnection(host, int(port), timeout=DEADLINE)
            connection.request("GET", target, headers=SAID)
            assert connection.getresponse().status == status, target
            connection.close()


def test_a_door_can_be_a_unix_socket_or_an_inherited_one(tmp_path: Path) -> None:
    path = tmp_path / "wire.sock"
    with ExitStack() as stack:
        made = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        options = ("--door", f"wireserver=unix:{path}", "--door", f"wireserver=fd:{made.fileno()}")
        server = stack.enter_context(
            Serving(tmp_path, described(tmp_path), *options, pass_fds=[made.fileno()])
        )
        url = "http://168.63.129.16/machine?comp=goalstate"
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
        for asks, status in ((url, b"200"), (url.replace("machine", "healthz"), b"404")):
            done = subprocess.run(
                [*command, "--unix-socket", str(path), asks], capture_output=True, check=True
            )
            assert done.stdout == status
        inherited = f"http://127.0.0.1:{made.getsockname()[1]}"
        assert asked(inherited, INSIDE[0]) == 200
        assert asked(inherited, OUTSIDE[0]) == 404
        assert asked(server.url, INSIDE[0]) == 404
        assert server.stop() == 0
        assert not path.exists()


def test_machines_are_told_apart_at_a_door_too(tmp_path: Path) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    for number, dialect in ((1, "azure"), (2, "azure"), (3, "openstack")):
        text = f"name: vm-{number}\ndialects: [{dialect}]\n"
        (folder / f"{number}.yaml").write_text(f"{text}peer: {{addresses: [127.0.0.{number}]}}\n")
    with Serving(tmp_path, str(folder), "--door", "wireserver=127.0.0.1:0") as server:
        door = f"http://{listeners(server)[1]}/machine?comp=health"
        found = {}
        for number, body in ((1, READY), (2, NOT_READY), (3, READY), (9, READY)):
            command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
            command += ["--interface", f"127.0.0.{number}", "--data-binary", body.decode(), door]
            done = subprocess.run(command, capture_output=True, check=True)
            found[number] = int(done.stdout)
        assert found == {1: 200, 2: 200, 3: 404, 9: 404}
        assert told(server) == {
            "default/vm-1": {"boot": {"state": "Ready", "why": ""}},
            "default/vm-2": {"boot": {"state": "NotReady", "why": "no disk"}},
        }


def test_the_lines_at_the_start_say_which_is_a_door(tmp_path: Path) -> None:
    own, wire = tmp_path / "own.sock", tmp_path / "wire.sock"
    doors = ("--door", "wireserver=127.0.0.1:0", "--door", f"wireserver=unix:{wire}")
    options = ("--listen", f"unix:{own}", *doors)
    with Serving(tmp_path, described(tmp_path), *options) as server:
        starts = ("listening on", "wireserver on")
        told = [line for line in server.lines if line.startswith(starts)]
        ordinary, tcp, unix = told
        assert (ordinary, unix) == (f"listening on unix:{own}", f"wireserver on unix:{wire}")
        assert asked(f"http://{tcp.removeprefix('wireserver on ')}", INSIDE[0]) == 200
        assert server.stop() == 0
    # At a door there is nothing of what could be tried.
    assert "try:" not in server.lines


def test_what_to_try_is_asked_for_at_an_ordinary_listener(tmp_path: Path) -> None:
    options = ("--door", "wireserver=127.0.0.1:0")
    with Serving(tmp_path, described(tmp_path), *options) as server:
        until(lambda: any(line.startswith("  curl") for line in server.lines))
        commands = [line.strip() for line in server.lines if line.startswith("  curl")]
        assert commands
        for command in commands:
            assert f" '{server.url}/" in command
            done = subprocess.run(
                ["bash", "-c", f"{command} -sSf"], capture_output=True, check=True
            )
            assert done.stdout == b"web-1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("wireserver", 'found "wireserver"; allowed: NAME=PLACE with a name among wireserver'),
        ("other=127.0.0.1:0", 'found "other=127.0.0.1:0"; allowed: NAME=PLACE with a name among'),
        ("=127.0.0.1:0", 'found "=127.0.0.1:0"; allowed: NAME=PLACE'),
        ("wireserver=", 'found ""; allowed: HOST:PORT'),
        ("wireserver=127.0.0.1", 'found "127.0.0.1"; allowed: HOST:PORT'),
        ("wireserver=192.0.2.1:80", "cannot listen on 192.0.2.1:80"),
    ],
)
def test_a_door_that_cannot_be_stops_the_start(given: str, said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emulator", "serve", described(tmp_path)]
    own = tmp_path / "own.sock"
    command += ["--listen", f"unix:{own}", "--operator", "off", "--door", given]
    command += ["--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    if "cannot listen" not in said:
        assert "--door" in done.stderr
    assert "Traceback" not in done.stderr
    # What was opened before it is closed again.
    assert not own.exists()


# -------------------------------------------------------------------------------- the page /guests


def test_the_operator_sees_attributes_boot_and_who_waits(tmp_path: Path) -> None:
    options = ("--door", "wireserver=127.0.0.1:0")
    with Serving(tmp_path, described(tmp_path, BOTH), *options) as server:
        door = f"http://{listeners(server)[1]}"
        assert told(server) == {}
        for name, value in (("hostkeys/rsa", "AAAA"), ("a/b", "ü")):
            url = f"{server.url}{TREE}/guest-attributes/{name}"
            requests.put(
                url, data=value.encode(), headers=FLAVOR, timeout=DEADLINE
            ).raise_for_status()
        attributes = {"a/b": "ü", "hostkeys/rsa": "AAAA"}
        assert told(server) == {"default/web-1": {"attributes": attributes}}
        assert asked(door, "/machine?comp=health", "POST", NOT_READY) == 200
        boot = {"state": "NotReady", "why": "no disk"}
        assert told(server) == {"default/web-1": {"attributes": attributes, "boot": boot}}
        assert server.get("/guests", **SAID).status_code == 404

        waiting = f"{server.url}{TREE}/tags?wait_for_change=true&timeout_sec={DEADLINE}"
        got: list[Any] = []

        def wait() -> None:
            answer = requests.get(waiting, headers=FLAVOR, timeout=2 * DEADLINE)
            got.append(answer.json())

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: told(server)["default/web-1"].get("waiting") == 1)
        described(tmp_path, BOTH + "gce: {network_tags: [changed]}\n")
        thread.join(DEADLINE)
        assert got == [["changed"]]
        # What a guest said outlives a change of its description.
        assert told(server) == {"default/web-1": {"attributes": attributes, "boot": boot}}


def page(*machines: Machine) -> Any:
    reply = guests.page(machines)
    assert isinstance(reply, Reply)
    assert reply.body.endswith(b"}\n")
    return json.loads(reply.body)


def test_only_who_said_something_is_on_the_page(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    quiet, counted, wrote, booted = (
        bench.machine(f"name: {name}\nnamespace: shop\n{BOTH.partition(chr(10))[2]}")
        for name in ("quiet", "counted", "wrote", "booted")
    )
    assert page(quiet, counted, wrote, booted) == {}
    # To be asked for events is to be remembered, but there is nothing to tell.
    headers = HTTPHeaders(SAID)
    request = Request("GET", "/metadata/scheduledevents", "api-version=2020-07-01", headers)
    decision = counted.asked().decide(request, counted)
    assert callable(decision.answer)
    reply = decision.answer(request, counted)
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert counted.lasting is not None
    assert wrote.write("a/b", "c") is None
    booted.report("", "why")
    assert page(quiet, counted, wrote, booted) == {
        "shop/wrote": {"attributes": {"a/b": "c"}},
        "shop/booted": {"boot": {"state": "", "why": "why"}},
    }
    assert wrote.write("a/b", None) is None
    booted.report("Ready", "")
    assert page(quiet, wrote, booted) == {"shop/booted": {"boot": {"state": "Ready", "why": ""}}}
    assert page() == {}


class Patient:
    """A request that waits."""

    def changed(self, machine: Machine | None) -> None:
        """Wait on."""

    def late(self) -> None:
        """Wait on."""


def test_who_waits_is_counted_while_it_waits(tmp_path: Path) -> None:
    machine = Bench(tmp_path).machine(AZURE)
    one, other = Patient(), Patient()
    machine.wait(one)
    machine.wait(other)
    assert page(machine) == {"default/web-1": {"waiting": 2}}
    machine.forget(one)
    machine.report("Ready", "")
    boot = {"state": "Ready", "why": ""}
    assert page(machine) == {"default/web-1": {"boot": boot, "waiting": 1}}
    machine.forget(other)
    assert page(machine) == {"default/web-1": {"boot": boot}}
