"""The steps of a sidecar in their order, without a kernel that takes part."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from emulator.cli import main
from emulator.errors import StartError
from emulator.ports import SYSTEM
from emulator.runtime.sockets import Endpoint
from emulator.sidecar import links, privileges, run
from emulator.sidecar.bridges import Link, Way
from emulator.sidecar.config import SidecarConfig

WAY = Way("k6t-eth0", Link(index=4, name="tap0", kind="tun", up=True, master=3))
IPV4, IPV6, LINK_LOCAL = "169.254.169.254", "fd00:ec2::254", "fe80::a9fe:a9fe%imds0"
DOORS = (("wireserver", "168.63.129.16"),)


class Became(Exception):
    """The process would be the server now."""


class Steps:
    """Notes what is done; ``lacking`` are hosts that cannot be listened on, and why."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.lacking: dict[str, int] = {}
        self.without_ipv6 = False
        self._opened: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("closed")

    def wait(self, *_: object) -> Way:
        self.done.append("waited")
        return WAY

    def plumb(self, way: Way, addresses: tuple[str, ...]) -> tuple[str, ...]:
        self.done.append(f"plumbed {way.tap.name}")
        return tuple(a for a in addresses if not (self.without_ipv6 and ":" in a))

    def listen(self, endpoint: Endpoint) -> socket.socket:
        self.done.append(endpoint.host)
        assert endpoint.port == 80
        if endpoint.host in self.lacking:
            code = self.lacking[endpoint.host]
            raise StartError("cannot listen") from OSError(code, os.strerror(code))
        self._opened.append(socket.socket(socket.AF_UNIX))
        return self._opened[-1]

    def become(self, program: str, arguments: list[str]) -> None:
        assert program == arguments[0] == sys.executable
        assert all(os.get_inheritable(each.fileno()) for each in self._opened)
        self.done.append(" ".join(arguments[1:]))
        raise Became

    def close(self) -> None:
        for each in self._opened:
            each.close()

    def place(self, number: int) -> str:
        return f"fd:{self._opened[number].fileno()}"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    steps = Steps()

    def note(what: str) -> Any:
        return lambda *given: steps.done.append(what)

    monkeypatch.setattr(links, "Links", lambda: steps)
    monkeypatch.setattr(links, "Bell", lambda: steps)
    monkeypatch.setattr(run, "wait", steps.wait)
    monkeypatch.setattr(run, "listen", steps.listen)
    monkeypatch.setattr(privileges, "drop", lambda user: steps.done.append(f"became {user}"))
    monkeypatch.setattr(signal, "signal", note("caught"))
    monkeypatch.setattr(signal, "pthread_sigmask", note("held back"))
    monkeypatch.setattr(os, "execv", steps.become)
    yield steps
    steps.close()


def test_everything_has_its_order(steps: Steps, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/session.key").touch()
    with pytest.raises(Became):
        run.run(SidecarConfig(podinfo=str(tmp_path), state="/s", doors=DOORS), SYSTEM)
    *before, command = steps.done
    assert before == [
        *("caught", "caught", "waited", "plumbed tap0", "closed", "closed"),
        *(IPV4, IPV6, LINK_LOCAL, DOORS[0][1], "became 65532", "held back"),
    ]
    listens = " ".join(f"--listen {steps.place(number)}" for number in range(3))
    assert command == (
        f"-m emulator serve --podinfo {tmp_path} {listens} --door wireserver={steps.place(3)}"
        " --operator unix:/s/operator --state /s --audit - --log-level info"
        f" --session-key {tmp_path}/keys/session.key"
    )


def test_what_the_pod_lacks_is_not_listened_on(steps: Steps) -> None:
    steps.without_ipv6 = True
    with pytest.raises(Became):
        run.run(SidecarConfig(podinfo="/p"), SYSTEM)
    assert IPV6 not in steps.done
    assert steps.done[-1].count("--listen") == 1


@pytest.mark.parametrize("code", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENODEV])
def test_without_plumbing_the_addresses_that_are_there_do(steps: Steps, code: int) -> None:
    steps.lacking = {IPV6: code, LINK_LOCAL: code}
    with pytest.raises(Became):
        run.run(SidecarConfig(podinfo="/p", plumbing="none"), SYSTEM)
    assert "waited" not in steps.done
    assert f"serve --podinfo /p --listen {steps.place(0)} --operator off" in steps.done[-1]
    steps.lacking[IPV4] = code
    with pytest.raises(StartError, match="none of the addresses"):
        run.run(SidecarConfig(podinfo="/p", plumbing="none"), SYSTEM)


def test_an_address_that_is_taken_stops_the_start(steps: Steps) -> None:
    steps.lacking = {IPV4: errno.EADDRINUSE}
    with pytest.raises(StartError, match="cannot listen"):
        run.run(SidecarConfig(podinfo="/p"), SYSTEM)
    assert "became 65532" not in steps.done


def test_a_place_of_ones_own_is_the_servers_to_open(steps: Steps) -> None:
    listen = ("127.0.0.1:80", "unix:/x")
    with pytest.raises(Became):
        run.run(SidecarConfig(podinfo="/p", plumbing="none", listen=listen, doors=DOORS), SYSTEM)
    assert steps.done[2:-1] == [DOORS[0][1], "became 65532", "held back"]
    assert "--listen 127.0.0.1:80 --listen unix:/x --door wireserver=fd:" in steps.done[-1]


def test_a_signal_ends_it_with_success() -> None:
    with pytest.raises(SystemExit) as ended:
        run._stop(signal.SIGTERM, None)
    assert ended.value.code == 0


def test_the_flags_are_the_settings(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--podinfo /p --state /s --templates /t --plumbing none --door wireserver"
    flags += " --door wireserver --user 1000 --listen unix:/x --operator off --audit off"
    with pytest.raises(Became):
        main(["sidecar", *flags.split(), "--log-level", "error"])
    assert "became 1000" in steps.done
    assert steps.done.count(DOORS[0][1]) == 1
    assert steps.done[-1].endswith(
        "--operator off --state /s --templates /t --audit off --log-level error"
    )
    assert main(["sidecar", "--podinfo", "/p", "--listen", "unix:/x"]) == 2
    assert "--listen: found --plumbing bridge" in capsys.readouterr().err


def test_capabilities_that_are_left_are_named() -> None:
    status = b"Name:\tpython\nCapInh:\t%b\nCapPrm:\t%b\nCapEff:\t%b\nCapBnd:\t00000000000014c0\n"
    nothing, something = b"0000000000000000", b"0000000000001000"
    assert privileges.held(status % (nothing, nothing, nothing)) == ""
    left = privileges.held(status % (nothing, something, something))
    assert left == "CapPrm=0000000000001000 CapEff=0000000000001000"


def test_who_keeps_capabilities_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_bytes(b"CapEff:\t0000000000001000\n")
    monkeypatch.setattr(privileges, "STATUS", status)
    # As if it were somebody else already, so that nothing is given up here.
    monkeypatch.setattr(os, "geteuid", lambda: 65532)
    with pytest.raises(StartError, match="the server must not have: CapEff=0000000000001000"):
        privileges.drop(65532)
    status.write_bytes(b"CapEff:\t0000000000000000\n")
    privileges.drop(65532)
