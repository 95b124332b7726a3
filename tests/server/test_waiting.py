"""Guests that wait for a change are answered once there is one, and nobody for ever kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from emulator.core.message import Request, Wait
from emulator.dialects.gce.pages import GcePages
from emulator.errors import ConfigError, Problem
from emulator.model.config import Limits
from emulator.observe.observation import Observation
from emulator.runtime.sockets import Endpoint
from emulator.server.delegate import Front
from emulator.server.fleet import Fleet
from emulator.server.hanging import Hanging
from emulator.server.hub import Hub
from emulator.server.listeners import Listener
from emulator.server.machine import Machine
from emulator.server.proxy import Proxies
from emulator.server.waiting import Waiting
from tests.server.support import Bench, instance

TREE = "/computeMetadata/v1"
FLAVOR = {"Metadata-Flavor": "Google"}
WRITTEN = "/instance/guest-attributes"
ALL = f"{WRITTEN}/?recursive=true&wait_for_change=true"
PREEMPTED = "/instance/preempted?wait_for_change=true"
ATTRIBUTES = "/instance/attributes/?recursive=true&wait_for_change=true"

VM = """\
name: web-1
dialects: {gce: {guest_attributes: enabled}}
events: [{kind: interruption, notice: start+10s}]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def seen() -> list[Observation]:
    return []


def fleet(*machines: Machine) -> Fleet:
    return Fleet(machines, sole=True, proxies=Proxies(frozenset(), b""))


@pytest.fixture
def hub(bench: Bench, seen: list[Observation]) -> Hub:
    return Hub(fleet(bench.machine(VM)), bench.backing.ports, [seen.append])


@pytest.fixture
def machine(hub: Hub) -> Machine:
    return hub.fleet.machines[0]


@pytest.fixture
def app(hub: Hub) -> Front:
    return Front(hub, "")


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """Give a count of the guests that have begun to wait."""
    count, wait = asyncio.Semaphore(0), Machine.wait

    def counted(self: Machine, waiter: Any) -> None:
        wait(self, waiter)
        count.release()

    monkeypatch.setattr(Machine, "wait", counted)
    return count


Ask = Callable[..., Awaitable[HTTPResponse]]
Begin = Callable[[str], Awaitable["asyncio.Future[HTTPResponse]"]]


@pytest.fixture
def ask(http_client: AsyncHTTPClient, http_server: Any, base_url: str) -> Ask:
    async def asking(path: str, method: str = "GET", body: bytes | None = None) -> HTTPResponse:
        options: Any = {"allow_nonstandard_methods": True, "headers": FLAVOR, "body": body}
        request = HTTPRequest(f"{base_url}{TREE}{path}", method, **options)
        return await http_client.fetch(request, raise_error=False)

    return asking


@pytest.fixture
def begin(ask: Ask, arrived: asyncio.Semaphore) -> Begin:
    """Give what asks, and comes back once the server has begun to wait with the answer."""

    async def beginning(path: str) -> asyncio.Future[HTTPResponse]:
        asked = asyncio.ensure_future(ask(path))
        await asyncio.wait_for(arrived.acquire(), 10)
        return asked

    return beginning


async def put(ask: Ask, name: str, value: bytes) -> None:
    assert (await ask(f"{WRITTEN}/{name}", "PUT", value)).code == 200


async def answered(waiting: asyncio.Future[HTTPResponse]) -> HTTPResponse:
    return await asyncio.wait_for(waiting, 10)


async def settled(hub: Hub) -> None:
    """Wait until no answer is due; none was counted twice, and nobody is left behind."""
    await asyncio.wait_for(hub.quiet(), 10)
    assert hub._busy == 0
    assert [machine.waiters for machine in hub.fleet.machines] == [0] * len(hub.fleet.machines)


def changed(bench: Bench, before: Machine, more: str = "") -> Machine:
    """Make the machine that a reload would, as described with ``more``."""
    made = Machine(instance(bench.folder, VM + more), bench.backing, before.served)
    made.render()
    return made


# --------------------------------------------------------------------------------- what wakes


@pytest.mark.gen_test
async def test_a_write_wakes_who_waits_for_it(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine, seen: list[Observation]
) -> None:
    waiting = await begin(ALL)
    assert machine.waiters == 1
    assert not waiting.done()
    await put(ask, "a/b", b"said")
    response = await answered(waiting)
    assert (response.code, json.loads(response.body)) == (200, {"a": {"b": "said"}})
    assert response.headers["ETag"] == (await ask(ALL.partition("&")[0])).headers["ETag"]
    assert response.headers["Metadata-Flavor"] == "Google"
    assert [(one.status, one.path) for one in seen[:2]] == [
        (200, f"{TREE}{WRITTEN}/a/b"),
        (200, f"{TREE}{WRITTEN}"),
    ]
    await settled(hub)


@pytest.mark.gen_test
async def test_a_removal_wakes_and_what_is_gone_is_not_found(
    ask: Ask, begin: Begin, hub: Hub
) -> None:
    await put(ask, "a/b", b"said")
    one = await begin(f"{WRITTEN}/a/b?wait_for_change=true")
    listing = await begin(f"{WRITTEN}/?wait_for_change=true")
    assert (await ask(f"{WRITTEN}/a/b", "DELETE")).code == 200
    assert (await answered(one)).code == 404
    response = await answered(listing)
    assert (response.code, response.body) == (200, b"")
    await settled(hub)


@pytest.mark.gen_test
async def test_who_waits_for_something_else_goes_on_waiting(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    other, mine = await begin(PREEMPTED), await begin(ALL)
    await put(ask, "a/b", b"said")
    assert (await answered(mine)).code == 200
    assert machine.waiters == 1
    # A write of the same text changes nothing.
    mine = await begin(ALL)
    await put(ask, "a/b", b"said")
    await ask("/instance/id")
    assert machine.waiters == 2
    await put(ask, "a/b", b"another")
    assert json.loads((await answered(mine)).body) == {"a": {"b": "another"}}
    assert machine.waiters == 1
    assert not other.done()
    hub.fleet.release()
    assert (await answered(other)).body == b"FALSE"
    await settled(hub)


@pytest.mark.gen_test
async def test_a_change_wakes_all_who_wait_for_it(
    ask: Ask, hub: Hub, machine: Machine, http_port: int, arrived: asyncio.Semaphore
) -> None:
    streams = [await asyncio.open_connection("127.0.0.1", http_port) for _ in range(50)]
    for _, writer in streams:
        writer.write(raw(ALL))
        await asyncio.wait_for(arrived.acquire(), 10)
    assert machine.waiters == 50
    await put(ask, "a/b", b"said")
    for reader, writer in streams:
        assert await body(reader) == b'{"a":{"b":"said"}}'
        writer.close()
    await settled(hub)


@pytest.mark.gen_test
async def test_head_waits_as_get_does(ask: Ask, hub: Hub, arrived: asyncio.Semaphore) -> None:
    waiting = asyncio.ensure_future(ask(ALL, "HEAD"))
    await asyncio.wait_for(arrived.acquire(), 10)
    await put(ask, "a/b", b"said")
    response = await answered(waiting)
    assert (response.code, response.body) == (200, b"")
    await settled(hub)


@pytest.mark.gen_test
async def test_an_event_s_time_wakes_by_itself(begin: Begin, bench: Bench, hub: Hub) -> None:
    bench.fake.advance(9.99)
    waiting = await begin(PREEMPTED)
    # From here on nobody asks: the timer alone sees that the time has come.
    bench.fake.advance(0.02)
    assert (await answered(waiting)).body == b"TRUE"
    await settled(hub)


@pytest.mark.gen_test
async def test_a_timer_that_is_early_wakes_nobody_and_is_set_again(
    begin: Begin, bench: Bench, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(PREEMPTED)
    waiters = machine.gathered()
    first = waiters._timer
    assert first is not None
    loop = asyncio.get_running_loop()
    assert first.when() - loop.time() == pytest.approx(10, abs=2)
    bench.fake.advance(9)
    machine._elapsed()
    assert first.cancelled()
    second = waiters._timer
    assert second is not None
    assert second.when() - loop.time() == pytest.approx(1, abs=0.5)
    assert (machine.waiters, waiting.done()) == (1, False)
    bench.fake.advance(2)
    machine._elapsed()
    assert (await answered(waiting)).body == b"TRUE"
    assert waiters._timer is None
    await settled(hub)


@pytest.mark.gen_test
async def test_who_asks_when_an_event_is_due_wakes_who_waits(
    ask: Ask, begin: Begin, bench: Bench, hub: Hub
) -> None:
    waiting = await begin(PREEMPTED)
    bench.fake.advance(10)
    await ask("/instance/id")
    assert (await answered(waiting)).body == b"TRUE"
    await settled(hub)


@pytest.mark.gen_test
async def test_a_guest_that_only_waits_has_begun_to_ask(
    begin: Begin, bench: Bench, hub: Hub
) -> None:
    events = VM.replace("start+10s", "first-request+10s")
    hub.fleet = fleet(bench.machine(events))
    hub.fleet.machines[0].render()
    bench.fake.advance(1000)
    waiting = await begin(PREEMPTED)
    bench.fake.advance(9.99)
    assert hub.fleet.machines[0].waiters == 1
    bench.fake.advance(0.01)
    hub.fleet.machines[0]._elapsed()
    assert (await answered(waiting)).body == b"TRUE"
    await settled(hub)


# ------------------------------------------------------------------------------ what is at once


@pytest.mark.gen_test
@pytest.mark.parametrize("known", ["0", "NONE", "0123456789abcdef"])
async def test_who_knows_something_else_is_answered_at_once(
    ask: Ask, hub: Hub, machine: Machine, known: str
) -> None:
    response = await ask(f"{PREEMPTED}&last_etag={known}")
    assert (response.code, response.body) == (200, b"FALSE")
    assert machine.waiters == 0
    await settled(hub)


@pytest.mark.gen_test
async def test_who_knows_what_there_is_waits_for_what_comes(
    ask: Ask, begin: Begin, hub: Hub
) -> None:
    tag = (await ask(ALL.partition("&")[0])).headers["ETag"]
    waiting = await begin(f"{ALL}&last_etag={tag}")
    await put(ask, "a/b", b"said")
    response = await answered(waiting)
    assert response.headers["ETag"] != tag
    # It asks again with the new tag, and nothing was lost meanwhile.
    await put(ask, "a/b", b"more")
    response = await ask(f"{ALL}&last_etag={response.headers['ETag']}")
    assert json.loads(response.body) == {"a": {"b": "more"}}
    await settled(hub)


@pytest.mark.gen_test
async def test_time_that_is_over_gives_what_there_is(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    now = await ask("/instance/preempted")
    late = await answered(await begin(f"{PREEMPTED}&timeout_sec=0"))
    assert (late.code, late.body) == (200, b"FALSE")
    assert late.headers["ETag"] == now.headers["ETag"]
    tagged = f"{PREEMPTED}&last_etag={now.headers['ETag']}&timeout_sec=0"
    assert (await answered(await begin(tagged))).body == b"FALSE"
    await settled(hub)


@pytest.mark.gen_test
async def test_a_limit_is_in_seconds_and_does_not_outlive_its_answer(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(f"{ALL}&timeout_sec=600")
    [waiter] = machine.gathered()._waiters
    assert isinstance(waiter, Hanging)
    timer = waiter._timer
    assert timer is not None
    left = timer.when() - asyncio.get_running_loop().time()
    assert left == pytest.approx(600, abs=5)
    await put(ask, "a/b", b"said")
    assert (await answered(waiting)).code == 200
    assert timer.cancelled()
    await settled(hub)


@pytest.mark.gen_test
async def test_without_a_limit_there_is_no_timer(begin: Begin, bench: Bench, hub: Hub) -> None:
    hub.fleet = fleet(bench.machine(VM.partition("events")[0]))
    waiting = await begin(PREEMPTED)
    waiters = hub.fleet.machines[0].gathered()
    [waiter] = waiters._waiters
    assert isinstance(waiter, Hanging)
    assert waiter._timer is None
    assert waiters._timer is None
    hub.fleet.release()
    assert (await answered(waiting)).code == 200
    await settled(hub)


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("path", "status"),
    [("/instance/id?wait_for_change=true&alt=x", 400), ("/none?wait_for_change=true", 404)],
)
async def test_what_is_refused_is_not_waited_for(
    ask: Ask, hub: Hub, path: str, status: int
) -> None:
    assert (await ask(path)).code == status
    await settled(hub)


# ---------------------------------------------------------------------------------- reloads


@pytest.mark.gen_test
async def test_a_changed_description_wakes_who_waits_for_it(
    begin: Begin, bench: Bench, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(ATTRIBUTES)
    hub.take(fleet(changed(bench, machine, "meta: {a: b}\n")))
    assert json.loads((await answered(waiting)).body) == {"a": "b"}
    await settled(hub)


@pytest.mark.gen_test
async def test_who_waits_for_something_else_waits_on_in_the_new_fleet(
    ask: Ask, begin: Begin, bench: Bench, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(f"{ALL}&timeout_sec=600")
    new = changed(bench, machine, "meta: {a: b}\n")
    hub.take(fleet(new))
    assert (machine.waiters, new.waiters, waiting.done()) == (0, 1, False)
    assert machine.gathered()._timer is None
    # The new one's events wake as the old one's did.
    assert new.gathered()._timer is not None
    await put(ask, "a/b", b"said")
    assert json.loads((await answered(waiting)).body) == {"a": {"b": "said"}}
    await settled(hub)


@pytest.mark.gen_test
async def test_a_machine_that_did_not_change_keeps_who_waits(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(ALL)
    timer = machine.gathered()._timer
    hub.take(fleet(machine))
    assert (machine.waiters, waiting.done()) == (1, False)
    # Nothing was done at all: a reload of one machine costs the others nothing.
    assert machine.gathered()._timer is timer is not None
    await put(ask, "a/b", b"said")
    assert (await answered(waiting)).code == 200
    await settled(hub)


@pytest.mark.gen_test
async def test_a_machine_that_is_gone_is_not_found(
    begin: Begin, hub: Hub, machine: Machine, seen: list[Observation]
) -> None:
    waiting = await begin(f"{ALL}&timeout_sec=600")
    [waiter] = machine.gathered()._waiters
    assert isinstance(waiter, Hanging)
    hub.take(fleet())
    assert (await answered(waiting)).code == 404
    assert [(one.vm, one.reason) for one in seen] == [("", "unknown-vm")]
    assert (machine.waiters, waiter._timer) == (0, None)
    await settled(hub)


@pytest.mark.gen_test
async def test_another_machine_in_its_place_is_not_its_successor(
    begin: Begin, bench: Bench, hub: Hub
) -> None:
    waiting = await begin(ALL)
    hub.take(fleet(bench.machine("name: web-2\ndialects: [gce]\n")))
    assert (await answered(waiting)).code == 404
    await settled(hub)


@pytest.mark.gen_test
async def test_a_dialect_that_is_gone_is_not_found(
    begin: Begin, bench: Bench, hub: Hub, machine: Machine
) -> None:
    waiting = await begin(ALL)
    described = instance(bench.folder, "name: web-1\ndialects: [openstack]\n")
    hub.take(fleet(Machine(described, bench.backing, machine)))
    response = await answered(waiting)
    assert response.code == 404
    assert "Metadata-Flavor" not in response.headers
    await settled(hub)


@pytest.mark.gen_test
@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("removed", [True, False])
async def test_a_write_while_a_reload_renders_is_not_lost(
    ask: Ask,
    begin: Begin,
    bench: Bench,
    hub: Hub,
    machine: Machine,
    *,
    earlier: bool,
    removed: bool,
) -> None:
    expected = {"a": {"b": "while"}}
    if earlier or removed:
        await put(ask, "a/before", b"before")
        expected = {"a": {"b": "while", "before": "before"}}
    new = changed(bench, machine, "meta: {a: b}\n")
    # The new one is ready, but not yet in service.
    await put(ask, "a/b", b"while")
    if removed:
        assert (await ask(f"{WRITTEN}/a/before", "DELETE")).code == 200
        expected = {"a": {"b": "while"}}
    both, own = await begin(ATTRIBUTES), await begin(ALL)
    hub.take(fleet(new))
    assert json.loads((await answered(both)).body) == {"a": "b"}
    assert json.loads((await ask(f"{WRITTEN}/?recursive=true")).body) == expected
    assert (new.waiters, own.done()) == (1, False)
    await put(ask, "a/b", b"after")
    assert json.loads((await answered(own)).body)["a"]["b"] == "after"
    await settled(hub)


@pytest.mark.gen_test
async def test_a_first_request_while_a_reload_renders_is_not_forgotten(
    ask: Ask, bench: Bench, hub: Hub
) -> None:
    after = VM.replace("start+10s", "first-request+1m")
    before = bench.machine(after)
    hub.fleet = fleet(before)
    new = Machine(instance(bench.folder, f"{after}meta: {{a: b}}\n"), bench.backing, before.served)
    new.render()
    assert (await ask("/instance/preempted")).body == b"FALSE"
    asked = before.first_request
    bench.fake.advance(59)
    hub.take(fleet(new))
    assert (new.first_request, (await ask("/instance/preempted")).body) == (asked, b"FALSE")
    bench.fake.advance(1)
    assert (await ask("/instance/preempted")).body == b"TRUE"


@pytest.mark.gen_test
@pytest.mark.parametrize("same", [True, False])
async def test_leave_to_begin_is_for_the_event_as_it_was_described(
    ask: Ask, bench: Bench, hub: Hub, *, same: bool
) -> None:
    event = "{kind: maintenance, id: one, begins: notice+1h}"
    description = f"name: web-1\ndialects: [gce]\nevents: [{event}]\n"
    before = bench.machine(description)
    hub.fleet = fleet(before)
    status = "/instance/upcoming-maintenance/maintenance-status"
    before.acknowledge(["one"])
    assert (await ask(status)).body == b"ONGOING"
    later = description if same else description.replace("1h", "2h")
    new = Machine(instance(bench.folder, f"{later}meta: {{a: b}}\n"), bench.backing, before.served)
    new.render()
    hub.take(fleet(new))
    assert (await ask(status)).body == (b"ONGOING" if same else b"PENDING")


@pytest.mark.gen_test
async def test_what_was_said_is_there_after_many_reloads_of_which_none_was_asked(
    ask: Ask, bench: Bench, hub: Hub, machine: Machine
) -> None:
    await put(ask, "a/b", b"said")
    for number in range(3):
        served = hub.fleet.machines[0].served
        described = instance(bench.folder, f"{VM}meta: {{number: '{number}'}}\n")
        # Not rendered: most of thousands of machines are not.
        hub.take(fleet(Machine(described, bench.backing, served)))
    assert (await ask(f"{WRITTEN}/a/b")).body == b"said"
    assert (await ask("/instance/attributes/number")).body == b"2"


# ---------------------------------------------------------------------- guests that hang up, end


def raw(path: str) -> bytes:
    """Give a request as it stands on the wire."""
    return (
        f"GET {TREE}{path} HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\n\r\n".encode()
    )


async def body(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(HTTPHeaders.parse(head.decode().partition("\r\n")[2])["Content-Length"])
    return await asyncio.wait_for(reader.readexactly(length), 10)


@pytest.mark.gen_test
@pytest.mark.parametrize("reloaded", [False, True])
async def test_a_guest_that_hangs_up_is_forgotten(
    http_server: Any,
    http_port: int,
    arrived: asyncio.Semaphore,
    bench: Bench,
    hub: Hub,
    machine: Machine,
    *,
    reloaded: bool,
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", http_port)
    writer.write(raw(f"{ALL}&timeout_sec=600"))
    await asyncio.wait_for(arrived.acquire(), 10)
    [waiter] = machine.gathered()._waiters
    assert isinstance(waiter, Hanging)
    timer = waiter._timer
    assert timer is not None
    if reloaded:
        hub.take(fleet(changed(bench, machine, "meta: {a: b}\n")))
    held = hub.fleet.machines[0]
    assert (held.waiters, held.gathered()._timer is None) == (1, False)
    writer.close()
    await settled(hub)
    assert timer.cancelled()
    # Without waiters a machine needs no timer for its events.
    assert held.gathered()._timer is None


@pytest.mark.gen_test
async def test_a_connection_goes_on_after_a_wait(
    ask: Ask, http_port: int, arrived: asyncio.Semaphore, hub: Hub, http_server: Any
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
    for value in (b"one", b"two"):
        writer.write(raw(f"{WRITTEN}/?recursive=true&alt=text&wait_for_change=true"))
        await asyncio.wait_for(arrived.acquire(), 10)
        await put(ask, "a/b", value)
        assert await body(reader) == b"a/b %s\n" % value
    writer.write(raw("/instance/name"))
    assert await body(reader) == b"web-1"
    held = len(http_server._connections)
    writer.close()
    async with asyncio.timeout(10):
        while len(http_server._connections) == held:  # noqa: ASYNC110 - Tornado tells nobody
            await asyncio.sleep(0)
    await settled(hub)


@pytest.mark.gen_test
async def test_at_the_end_all_are_answered_with_what_there_is(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    await put(ask, "a/b", b"said")
    paths = (ALL, f"{ALL}&timeout_sec=600", PREEMPTED, "/instance/id?wait_for_change=true")
    waiting = [await begin(path) for path in paths]
    assert machine.waiters == 4
    hub.fleet.release()
    found = [await answered(one) for one in waiting]
    assert [one.code for one in found] == [200] * 4
    assert [one.body for one in found[:3]] == [b'{"a":{"b":"said"}}'] * 2 + [b"FALSE"]
    await settled(hub)


@pytest.mark.gen_test
async def test_what_fails_when_it_is_asked_again_is_the_dialect_s_error(
    ask: Ask,
    begin: Begin,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waiting = await begin(ALL)
    monkeypatch.setattr(GcePages, "asked", failing)
    await put(ask, "a/b", b"said")
    response = await answered(waiting)
    assert response.code == 503
    assert response.headers["Metadata-Flavor"] == "Google"
    [record] = (record for record in caplog.records if record.name == "imds")
    assert record.getMessage().endswith("broken")
    await settled(hub)


def failing(*_: object) -> None:
    raise RuntimeError("broken")


# --------------------------------------------------------------------- what a guest may not take


@pytest.mark.gen_test
async def test_there_are_places_for_so_many_and_one_more_is_answered_at_once(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine
) -> None:
    hub.limits = Limits(waiting_of_vm=2)
    held = [await begin(ALL) for _ in range(2)]
    assert (await ask(ALL)).body == b"{}"
    hub.limits = Limits(waiting=2)
    assert (await ask(ALL)).body == b"{}"
    assert (machine.waiters, hub.waiting) == (2, 2)
    assert hub.hits == {"waiting_of_vm": 1, "waiting": 1}
    await put(ask, "a/b", b"c")
    for waiting in held:
        assert json.loads((await answered(waiting)).body) == {"a": {"b": "c"}}
    assert hub.waiting == 0
    await settled(hub)


@pytest.mark.gen_test
async def test_who_waits_takes_no_place_of_a_connection(
    app: Front, begin: Begin, ask: Ask, hub: Hub
) -> None:
    places = app.places
    held = [await begin(ALL) for _ in range(3)]
    assert (places.waiting, hub.crowd.waiting) == (3, {"127.0.0.1": 3})
    await put(ask, "a/b", b"c")
    for waiting in held:
        await answered(waiting)
    assert (places.waiting, hub.crowd.waiting) == (0, {})


@pytest.mark.gen_test
async def test_a_text_that_is_the_same_changes_nothing(
    ask: Ask, begin: Begin, machine: Machine, hub: Hub
) -> None:
    await put(ask, "a/b", b"c")
    before = machine.snapshot
    waiting = await begin(ALL)
    await put(ask, "a/b", b"c")
    assert machine.snapshot is before
    assert (machine.waiters, waiting.done()) == (1, False)
    await put(ask, "a/b", b"d")
    assert (await answered(waiting)).code == 200
    await settled(hub)


@pytest.mark.gen_test
async def test_a_write_leaves_the_other_dialects_as_they_are(ask: Ask, bench: Bench) -> None:
    machine = bench.machine(
        "name: web-1\ndialects: {openstack: on, ec2: on, gce: {guest_attributes: enabled}}\n"
    )

    def answers(dialect: str) -> list[object]:
        snapshot = machine.snapshot
        slots = snapshot.layout.slots.items()
        areas = snapshot.layout.areas
        return [snapshot.answers[n] for _, n in slots if areas[n].dialect == dialect]

    assert machine.write("a/a", "first") is None
    ec2, gce = answers("ec2"), answers("gce")
    bench.fake.advance(60)
    assert machine.write("a/b", "c") is None
    assert answers("ec2") == ec2
    assert answers("gce") != gce


@pytest.mark.gen_test
async def test_a_guest_begins_no_event_that_it_was_not_told_of(bench: Bench) -> None:
    machine = bench.machine(
        "name: web-1\ndialects: [gce]\n"
        "events: [{kind: maintenance, id: one, notice: start+1m, begins: notice+1h}]\n"
    )
    _ = machine.asked()
    assert not machine.acknowledge(["one"])
    assert not machine.acknowledge(["none"])
    bench.fake.advance(60)
    assert machine.acknowledge(["one"])
    assert machine.acknowledge(["one"])


@pytest.mark.gen_test
async def test_what_cannot_be_rendered_is_the_dialect_s_error_for_who_waits_too(
    ask: Ask, begin: Begin, hub: Hub, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await begin(ALL)

    def broken(*_: object) -> None:
        raise ConfigError(Problem("t", 1, "", "a mistake", "none"))

    monkeypatch.setattr("emulator.render.renderer.Renderer.snapshot", broken)
    new = Machine(machine.instance, machine._backing)
    hub.take(fleet(new))
    for response in (await answered(waiting), await ask("/instance/id")):
        assert (response.code, response.headers["Metadata-Flavor"]) == (503, "Google")
    await settled(hub)


@pytest.mark.gen_test
@pytest.mark.parametrize("more", [b"", b"x", b"GET / HTTP/1.1\r\n"])
async def test_a_guest_that_hangs_up_is_found_whatever_it_sent_before(
    bench: Bench, seen: list[Observation], arrived: asyncio.Semaphore, more: bytes
) -> None:
    machine = bench.machine(VM)
    hub = Hub(fleet(machine), bench.backing.ports, [seen.append])
    front = Front(hub, "")
    endpoint = Endpoint(host="127.0.0.1", port=0)
    listener = Listener(endpoint, front, Limits(idle_seconds=0.2), places=front.places)
    try:
        host, _, port = str(listener).partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"GET {TREE}{ALL} HTTP/1.1\r\nHost: metadata\r\nMetadata-Flavor: Google\r\n\r\n"
        writer.write(head.encode() + more)
        await writer.drain()
        await asyncio.wait_for(arrived.acquire(), 10)
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(hub.quiet(), 10)
        assert (machine.waiters, hub.waiting, front.places.waiting) == (0, 0, 0)
    finally:
        listener.stop()
        await listener.close()


# ------------------------------------------------------------------------------- by themselves


def timer_of(waiting: Waiting[str]) -> asyncio.TimerHandle:
    assert waiting._timer is not None
    return waiting._timer


class Counting:
    """A waiter that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    def changed(self, machine: str | None) -> None:
        self.told.append(machine)

    def late(self) -> None:
        self.told.append("late")


def test_who_waits_for_nothing_costs_no_timer() -> None:
    waiting: Waiting[str] = Waiting(failing)
    # Neither needs a loop.
    waiting.until(1)
    waiting.look("machine")
    waiting.release()
    waiting.forget(Counting())
    waiting.hand_over(None, None)
    assert (len(waiting), waiting._timer) == (0, None)


@pytest.mark.gen_test
async def test_waiters_are_told_in_their_order_and_handed_over_whole() -> None:
    due = asyncio.Event()
    old: Waiting[str] = Waiting(due.set)
    new: Waiting[str] = Waiting(due.set)
    one, two, three = Counting(), Counting(), Counting()
    for waiter in (one, two, three, one):
        old.add(waiter)
    assert len(old) == 3
    old.forget(three)
    old.look("a")
    old.until(inf)
    assert old._timer is None
    old.until(-5)
    await asyncio.wait_for(due.wait(), 10)
    assert one.told == two.told == ["a"]
    old.until(600)
    armed = timer_of(old)
    old.hand_over(new, "b")
    assert armed.cancelled()
    assert (len(old), len(new)) == (0, 2)
    assert one.told == two.told == ["a", "b"]
    old.look("c")
    new.release()
    assert one.told == two.told == ["a", "b", "late"]
    new.until(600)
    new.hand_over(None, None)
    assert (len(new), new._timer) == (0, None)
    assert one.told == two.told == ["a", "b", "late", None]
    assert three.told == []


class Patient:
    """Answers a request that is asked again once it may."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.ready = False
        self.places = 0

    def again(self, request: Request, machine: Machine | None) -> bool:
        assert request.body == b""
        self.queries.append(request.query)
        return self.ready

    def waited(self) -> None:
        self.places += 1


@pytest.mark.gen_test
async def test_a_hanging_request_asks_again_as_it_was_told(machine: Machine) -> None:
    asked = Patient()
    request = Request("GET", "/x", "first", HTTPHeaders(), b"which is not kept")
    hanging = Hanging(asked, request, machine, Wait("again", "late", 600))
    hanging.changed(machine)
    assert (asked.queries, machine.waiters) == (["again"], 1)
    asked.ready = True
    hanging.changed(machine)
    assert (asked.queries, machine.waiters) == (["again", "again"], 0)
    assert hanging._timer is None
    other = Hanging(asked, request, machine, Wait("again", "late"))
    other.late()
    assert (asked.queries[-1], machine.waiters) == ("late", 0)
    # Once more harms nobody.
    other.cancel()
    other.late()
    other.changed(machine)
    assert (asked.queries[-1], asked.places) == ("late", 2)


class Failing(Counting):
    """A waiter that cannot be told anything."""

    def changed(self, machine: str | None) -> None:
        super().changed(machine)
        raise ConfigError(Problem("t", 1, "", "a mistake", "none"))

    def late(self) -> None:
        raise ConfigError(Problem("t", 1, "", "a mistake", "none"))


@pytest.mark.gen_test
async def test_one_that_fails_does_not_keep_it_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old: Waiting[str] = Waiting(failing)
    new: Waiting[str] = Waiting(failing)
    bad, good = Failing(), Counting()
    old.add(bad)
    old.add(good)
    old.look("a")
    old.hand_over(new, "b")
    assert bad.told == good.told == ["a", "b"]
    assert len(new) == 2
    new.release()
    assert good.told == ["a", "b", "late"]
    assert caplog.text.count("a waiting request cannot be answered") == 3


@pytest.mark.gen_test
async def test_many_are_told_some_at_a_time() -> None:
    waiting: Waiting[str] = Waiting(failing)
    many = [Counting() for _ in range(250)]
    for waiter in many:
        waiting.add(waiter)
    waiting.look("a")
    # Others ask something in between, and one of those who wait hangs up.
    assert sum(len(waiter.told) for waiter in many) == 100
    waiting.forget(many[-1])
    for _ in range(2):
        await asyncio.sleep(0)
    assert [waiter.told for waiter in many] == [["a"]] * 249 + [[]]


@pytest.mark.gen_test
async def test_one_that_ends_before_it_is_told_of_its_new_machine_is_forgotten_there(
    bench: Bench, machine: Machine
) -> None:
    request = Request("GET", "/x", "first", HTTPHeaders())
    many = [Hanging(Patient(), request, machine, Wait("again", "late")) for _ in range(150)]
    new = changed(bench, machine)
    machine.hand_over(new)
    many[-1].cancel()
    assert (machine.waiters, new.waiters) == (0, 150)
    await asyncio.sleep(0)
    assert new.waiters == 149
