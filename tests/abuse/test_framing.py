"""Where one request ends and the next begins, and what each may cost.

``tests/fuzz/corpus.py`` has the shapes that servers have fallen for; here is what they leave open:
order, limits within a pipeline, and requests that are right and yet dear.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.abuse.wire import Answer, answers, request
from tests.reliability.guests import Guest
from tests.server.process import Serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fuzz.target import Target

HOST = "Host: metadata"
NAMES = ("instance-id", "hostname", "local-hostname", "ami-id", "instance-type")
CHUNKED = "Transfer-Encoding: chunked"
PASSWORD = "/openstack/2013-04-04/password"


def get(path: str, *lines: str) -> bytes:
    return request(path, HOST, *lines)


def post(body: bytes, *lines: str) -> bytes:
    return request(PASSWORD, HOST, *lines, method="POST") + body


def chunks(data: bytes, size: int) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def sent(target: Target, data: bytes) -> list[Answer]:
    return answers(target.exchange(data))


def statuses(target: Target, data: bytes) -> list[int]:
    return [answer.status for answer in sent(target, data)]


def test_answers_come_in_the_order_of_requests(target: Target) -> None:
    """Those that are computed, in threads or not, among those that are not."""
    single = {name: sent(target, get(f"/latest/meta-data/{name}"))[0].body for name in NAMES}
    waits = get("/v1/identity/signature", "Metadata: true")
    token = get("/computeMetadata/v1/instance/service-accounts/default/token?x", "Metadata: true")
    data, expected = b"", []
    for number in range(200):
        name = NAMES[number % len(NAMES)]
        data += get(f"/latest/meta-data/{name}")
        expected.append(single[name])
        data += waits if number % 3 == 0 else token if number % 3 == 1 else b""
    found = [one.body for one in sent(target, data) if one.body in single.values()]
    assert found == expected


def test_a_body_is_not_the_next_request(target: Target) -> None:
    inner = get("/latest/meta-data/hostname")
    length = f"Content-Length: {len(inner)}"
    data = (post(inner, length) + get("/healthz")) * 20
    # The password is stored once, if at all.
    assert set(statuses(target, data)[1::2]) == {200}
    assert len(statuses(target, data)) == 40


DOUBTFUL: dict[str, tuple[bytes, list[int]]] = {
    # Nobody sends extensions of chunks, nor sizes with what is not theirs.
    "an extension": (post(b"3;a=b\r\nabc\r\n0\r\n\r\n", CHUNKED), [400]),
    "a size and a space": (post(b"3 \r\nabc\r\n0\r\n\r\n", CHUNKED), [400]),
    "zeros before a size": (
        post(b"03\r\nabc\r\n0\r\n\r\n" + get("/healthz"), CHUNKED),
        [409, 200],
    ),
    "chunks in bare lines": (post(b"3\nabc\n0\n\n", CHUNKED), []),
    "a chunk that is longer": (
        post(b"3\r\nabcd\r\n0\r\n\r\n" + get("/healthz"), CHUNKED),
        [400],
    ),
    # Codings that another parser would read otherwise.
    "in other letters": (post(b"0\r\n\r\n", "Transfer-Encoding: Chunked"), [409]),
    "a tab before it": (post(b"0\r\n\r\n", "Transfer-Encoding: \tchunked"), [409]),
    "a comma behind it": (post(b"0\r\n\r\n", "Transfer-Encoding: chunked,"), [400]),
    "another before it": (post(b"0\r\n\r\n", "Transfer-Encoding: x, chunked"), [400]),
    "quoted": (post(b"0\r\n\r\n", 'Transfer-Encoding: "chunked"'), [400]),
    "a name like it": (post(b"0\r\n\r\n", "Transfer_Encoding: chunked"), [409, 400]),
    "and a length of none": (post(b"0\r\n\r\n", CHUNKED, "Content-Length: 0"), [400]),
    "a length twice": (post(b"", "Content-Length: 0", "content-length: 0"), [409]),
    "two lengths": (post(b"a", "Content-Length: 0", "content-length: 1"), [400]),
    # HTTP/1.0 has no chunks, but who sends them means them.
    "in 1.0": (
        request(PASSWORD, HOST, CHUNKED, method="POST", version="1.0") + b"0\r\n\r\n",
        [409],
    ),
    # Lines that end otherwise.
    "bare lines": (b"GET /healthz HTTP/1.1\nHost: metadata\n\n", [200]),
    "a bare line": (b"GET /healthz HTTP/1.1\r\nHost: metadata\n\r\n", [200]),
    "returns alone": (b"GET /healthz HTTP/1.1\rHost: metadata\r\r", []),
    "an empty line before": (b"\r\nGET /healthz HTTP/1.1\r\nHost: metadata\r\n\r\n", [200]),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_framing_in_doubt_is_refused(target: Target, name: str) -> None:
    data, expected = DOUBTFUL[name]
    # Something is stored, so that a body that is taken is a conflict.
    _ = target.exchange(post(b"abc", "Content-Length: 3"))
    assert statuses(target, data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (get("/healthz", *["A: b"] * 127), [200]),
        (get("/healthz", *["A: b"] * 128), [400]),
        (get("/healthz", *[f"A{number}: b" for number in range(128)]), [400]),
        (post(chunks(b"x" * (16 << 10), 1 << 10), CHUNKED), [409]),
        (post(chunks(b"x" * ((16 << 10) + 1), 1 << 10), CHUNKED), [400]),
    ],
    ids=["128 lines", "one more", "of other names", "16 KiB in chunks", "one byte more"],
)
def test_bounds_are_where_they_are_said_to_be(
    target: Target, data: bytes, expected: list[int]
) -> None:
    _ = target.exchange(post(b"abc", "Content-Length: 3"))
    assert statuses(target, data) == expected


DEAR: dict[str, Callable[[int], bytes]] = {
    "lines": lambda size: get("/healthz", *["a:"] * (size // 4)),
    "names": lambda size: get("/healthz", *[f"{number:x}:" for number in range(size // 6)]),
    "segments": lambda size: get("/openstack" + "/a" * (size // 2)),
    "dots": lambda size: get("/openstack" + "/.." * (size // 3)),
    "slashes": lambda size: get("/openstack" + "/" * size),
    "percents": lambda size: get("/openstack/" + "%ff" * (size // 3)),
    "parameters": lambda size: get("/metadata/instance?" + "a&" * (size // 2), "Metadata: true"),
    "names of parameters": lambda size: get(
        "/computeMetadata/v1/?" + "&".join(f"{number:x}=%41" for number in range(size // 9)),
        "Metadata-Flavor: Google",
    ),
    "audiences": lambda size: get("/v1/token?" + "audience=&" * (size // 10), "Metadata: true"),
    "hosts": lambda size: request("/healthz", "Host: " + "m," * (size // 2)),
    "agents": lambda size: get("/healthz", "User-Agent: " + "u" * size),
    "tokens": lambda size: get("/latest/meta-data/", "X-aws-ec2-metadata-token: " + "A" * size),
    "chunks": lambda size: post(chunks(b"x" * (size // 6), 1), CHUNKED),
    "empty lines": lambda size: b"\r\n" * (size // 2),
}


@pytest.mark.parametrize("name", DEAR)
def test_no_request_costs_more_than_its_length(target: Target, name: str) -> None:
    """Four times the bytes take four times as long: nothing goes over all of them again."""

    def seconds(size: int) -> float:
        data, times = DEAR[name](size), []
        for _ in range(9):
            begun = time.perf_counter()
            _ = target.exchange(data)
            times.append(time.perf_counter() - begun)
        return min(times)

    # Four times the length takes four times as long, and not sixteen, but for the clock's noise.
    assert seconds(15_500) < 8 * seconds(4_000) + 0.01


def test_a_chunked_body_counts_as_many_requests(tmp_path: Path) -> None:
    (tmp_path / "vm.yaml").write_text("name: vm\ndialects: [openstack]\n")
    with (
        Serving(tmp_path, str(tmp_path / "vm.yaml")) as server,
        Guest(server.url) as usual,
    ):
        last = []
        for _ in range(9):
            with Guest(server.url) as guest:
                guest.socket.sendall(post(b"1\r\nx\r\n0\r\n\r\n", CHUNKED))
                last.append(guest.socket.recv(12)[-3:])
        # Of 2,000 at once each takes 256; whoever keeps to what is usual is answered.
        assert last == [b"200", *[b"409"] * 6, *[b"400"] * 2]
        assert usual.ask("/openstack/latest/meta_data.json").status == 200
        assert server.metric('imds_malformed_requests_total{reason="body-too-long"}') == 2


def test_a_limit_holds_within_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "vm.yaml").write_text("name: vm\n")
    limits = ("--limit", "requests_of_vm=0.01", "--limit", "requests_at_once=50")
    with (
        Serving(tmp_path, str(tmp_path / "vm.yaml"), *limits) as server,
        Guest(server.url) as guest,
    ):
        guest.socket.sendall(
            get("/latest/meta-data/hostname") * 199 + get("/healthz", "Connection: close")
        )
        data = b""
        while part := guest.socket.recv(1 << 16):
            data += part
        found = [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
        assert found == [200] * 50 + [503] * 149 + [200]
