"""Sockets are found by their spelling, and what is in their way is said."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import ConfigError, StartError
from emulator.runtime.sockets import Acceptor, Endpoint, bound, inherited, listen, parse, release


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:80", Endpoint(host="127.0.0.1", port=80)),
        ("[::1]:80", Endpoint(host="::1", port=80)),
        ("unix:/run/x", Endpoint(path="/run/x")),
        ("fd:3", Endpoint(fd=3)),
    ],
)
def test_an_endpoint_is_read_and_spelled_alike(text: str, endpoint: Endpoint) -> None:
    assert parse(text, "--listen") == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["", "80", ":80", "h:", "h:65536", "h:x", "h:²", "unix:", "fd:x"])
def test_what_is_no_endpoint_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="--listen: found"):
        parse(text, "--listen")


def test_only_descriptors_meant_for_this_process_are_inherited() -> None:
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "2"}
    assert inherited(environ, 42) == [Endpoint(fd=3), Endpoint(fd=4)]
    assert inherited(environ, 43) == []
    assert inherited({}, 42) == []
    assert inherited({"LISTEN_PID": "42", "LISTEN_FDS": "x"}, 42) == []


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match="something else listens there"):
            listen(Endpoint(host="127.0.0.1", port=port))


def test_an_address_that_is_not_here_is_said() -> None:
    with pytest.raises(StartError, match="does not have that address"):
        listen(Endpoint(host="192.0.2.1", port=0))


def test_a_name_that_is_none_is_said() -> None:
    with pytest.raises(StartError, match="no such host name"):
        listen(Endpoint(host="a" * 70, port=80))


def test_who_listens_and_never_accepts_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        held.bind(path)
        held.listen(0)
        for _ in range(5):
            with pytest.raises(StartError, match="something else listens there"):
                listen(Endpoint(path=path))


def test_a_bad_descriptor_is_said() -> None:
    with pytest.raises(StartError, match="fd:999999"):
        listen(Endpoint(fd=999999))


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file"):
        listen(Endpoint(path=str(tmp_path / "missing" / "s")))


def test_ipv6_is_its_own() -> None:
    with listen(Endpoint(host="::1", port=0)) as made:
        assert made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_descriptor_is_served_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        made = listen(Endpoint(fd=os.dup(given.fileno())))
        with made:
            assert made.getsockname() == given.getsockname()


def test_a_unix_socket_is_its_owners_alone_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listen(Endpoint(path=str(path))).close()
    with listen(Endpoint(path=str(path))):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(StartError, match="something else listens there"):
            listen(Endpoint(path=str(path)))
    release(Endpoint(path=str(path)))
    assert not path.exists()
    release(Endpoint(path=str(path)))


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError):
        listen(Endpoint(path=str(path)))
    assert path.read_text() == "precious"


def test_where_a_socket_listens_is_told(tmp_path: Path) -> None:
    with listen(Endpoint(host="127.0.0.1", port=0)) as made:
        assert bound(made).port > 0
    with listen(Endpoint(path=str(tmp_path / "s"))) as made:
        assert bound(made) == Endpoint(path=str(tmp_path / "s"))


class Exhausted(socket.socket):
    """A listening socket that cannot give a connection while ``error`` is set."""

    error = 0
    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.fixture
def exhausted() -> Iterator[Exhausted]:
    with Exhausted() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)
        yield listening


def test_where_nothing_is_left_it_waits_and_then_goes_on(
    exhausted: Exhausted, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[socket.socket] = []
    hits: list[bool] = []

    async def main() -> None:
        exhausted.error = errno.EMFILE
        acceptor = Acceptor(exhausted, lambda one, _: taken.append(one), lambda: hits.append(True))
        with socket.create_connection(exhausted.getsockname()):
            await asyncio.sleep(0.6)
            assert 2 <= exhausted.tries <= 4
            assert (taken, len(hits)) == ([], exhausted.tries)
            exhausted.error = 0
            await asyncio.sleep(0.6)
            assert len(taken) == 1
        exhausted.error = errno.EMFILE
        with socket.create_connection(exhausted.getsockname()):
            await asyncio.sleep(0.1)
            acceptor.stop()
            tries = exhausted.tries
            await asyncio.sleep(0.4)
            assert exhausted.tries == tries

    asyncio.run(main())
    taken[0].close()
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(",")[0] for line in said] == [
        "no connection can be taken",
        "connections are taken again",
        "no connection can be taken",
    ]


def test_a_connection_that_is_gone_already_keeps_nobody_else_out(exhausted: Exhausted) -> None:
    taken: list[socket.socket] = []

    async def main() -> None:
        exhausted.error = errno.ECONNABORTED
        acceptor = Acceptor(exhausted, lambda one, _: taken.append(one), taken.clear)
        with socket.create_connection(exhausted.getsockname()):
            await asyncio.sleep(0.05)
            exhausted.error = 0
            await asyncio.sleep(0.05)
        assert len(taken) == 1
        acceptor.stop()

    asyncio.run(main())
    taken[0].close()
