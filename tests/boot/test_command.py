"""The whole command, with a stand-in for QEMU alone: the server is the real one."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.boot.sockets import serving, sockets, tcp_listeners

if TYPE_CHECKING:
    import subprocess

    from tests.boot.conftest import Command


def test_a_good_boot(command: Command) -> None:
    report = command.json("good")
    assert (report["exit"], report["outcome"]) == (0, "done")
    assert report["datasource"] == "DataSourceOpenStackLocal"
    assert report["vm"] == "web-1"
    (request,) = report["requests"]
    assert (request["path"], request["status"], request["dialect"]) == (
        "/openstack",
        200,
        "openstack",
    )
    assert 0 <= request["at"] < 60
    assert Path(report["console"]).read_text().startswith("Linux version")
    assert "first request: GET /openstack -> 200" in report["stderr"]
    assert command.leftovers() == []


def test_further_addresses_are_doors_of_the_server(command: Command) -> None:
    command.instance.write_text("name: web-1\ndialects: [azure]\n")
    report = command.json("azure")
    assert (report["exit"], report["outcome"]) == (0, "done")
    asked = [(request["path"], request["status"]) for request in report["requests"]]
    assert asked == [("wireserver:/machine", 200), ("/machine", 404)]
    assert "first request: GET wireserver:/machine -> 200" in report["stderr"]
    assert command.leftovers() == []


def test_a_boot_with_a_neighbour(command: Command) -> None:
    command.instance.write_text(
        "name: web-1\ndialects: [gce, openstack]\n"
        "interfaces:\n- mac: 52:54:00:00:00:01\n  addresses: [10.0.0.5/24]\n"
        "  gateways: [10.0.0.1]\n"
    )
    for flags in ((), ("--network", "internet")):
        assert command.json("good", *flags)["exit"] == 0
        assert command.leftovers() == []


def test_the_summary_for_people(command: Command) -> None:
    done = command.boot("good", "--console")
    assert done.returncode == 0
    assert "web-1: cloud-init 22.4.2 finished with DataSourceOpenStackLocal" in done.stdout
    assert "GET /openstack" in done.stdout
    assert "kernel 6.1.0 starts" in done.stderr
    assert "Linux version 6.1.0 (x)" in done.stderr


@pytest.mark.parametrize(
    ("mode", "outcome", "words"),
    [
        ("panic", "panic", "no working init found"),
        ("die", "qemu-died", "QEMU ended with status 1"),
        ("powers-off", "powered-off", "powered off by itself"),
        ("errors", "cloud-init-errors", "Running module runcmd"),
        ("wrong", "wrong-datasource", "DataSourceNone"),
    ],
)
def test_bad_ends_are_told_apart(command: Command, mode: str, outcome: str, words: str) -> None:
    ends_badly(command, mode, outcome, words)


@pytest.mark.parametrize(
    ("mode", "seconds", "outcome", "words"),
    [
        ("silent", "3", "never-asked", "never asked for metadata"),
        # Half of it is the silence that is borne; the request has to come before.
        ("stuck", "16", "stuck", "last request: GET /openstack 200"),
    ],
)
def test_silence_is_told_by_what_came_before(
    command: Command, mode: str, seconds: str, outcome: str, words: str
) -> None:
    ends_badly(command, mode, outcome, words, "--timeout", seconds)


def ends_badly(command: Command, mode: str, outcome: str, words: str, *flags: str) -> None:
    report = command.json(mode, *(flags or ("--timeout", "30")))
    assert (report["exit"], report["outcome"]) == (1, outcome)
    assert words in report["message"]
    assert Path(report["console"]).exists()
    assert command.leftovers() == []


def test_qemus_last_lines_are_shown(command: Command) -> None:
    done = command.boot("die")
    assert "qemu: could not open the thing" in done.stdout


def moment(command: Command, name: str) -> bool:
    """Tell whether a boot has come to the moment of that name."""
    home = command.state / "boot" / "web-1"
    match name:
        case "at once":
            return True
        case "workspace":
            return home.exists()
        case "server":
            return any(home.glob("run.*/server.log"))
        case "qemu":
            return any(home.glob("run.*/qemu.log"))
        case "asked":
            return any(log.stat().st_size for log in home.glob("run.*/audit.jsonl"))
        case _:
            console = home / "console.log"
            return console.exists() and "Linux" in console.read_text()


@pytest.mark.parametrize("name", ["at once", "workspace", "server", "qemu", "guest"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_at_any_moment_leaves_nothing(
    command: Command, name: str, number: signal.Signals
) -> None:
    process = command.start("stuck")
    command.wait_for(lambda: moment(command, name))
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0, out + err
    # Python itself answers while it still imports.
    assert name == "at once" or "Traceback" not in err
    command.wait_for(lambda: command.leftovers() == [])


def test_the_server_listens_on_unix_sockets_alone(command: Command) -> None:
    command.start("stuck")
    command.wait_for(lambda: moment(command, "guest"))
    (server,) = [line for line in command.processes() if " serve " in line]
    assert server.count("unix:") == 2
    (pid,) = serving(str(command.folder))
    assert sockets(pid)
    assert not tcp_listeners(pid)


def test_a_server_that_ends_is_reported(command: Command) -> None:
    process = command.start("stuck", "--json")
    command.wait_for(lambda: moment(command, "asked"))
    (pid,) = serving(str(command.folder))
    os.kill(pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert '"server-died"' in out


def test_with_ssh_the_guest_runs_on_until_told(command: Command) -> None:
    process = command.start("stays", "--ssh", str(free_port()))
    runs_on(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert command.leftovers() == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def runs_on(process: subprocess.Popen[str]) -> None:
    """Wait until it is said that the guest runs on, which follows the report."""
    assert process.stderr is not None
    while "runs on until" not in process.stderr.readline():
        assert process.poll() is None


@pytest.mark.parametrize("mode", ["stays", "stuck"])
def test_a_kept_disk_is_written_out(command: Command, mode: str) -> None:
    if mode == "stays":
        process = command.start(mode, "--keep", "--ssh", str(free_port()))
        runs_on(process)
    else:
        process = command.start(mode, "--keep")
        command.wait_for(lambda: moment(command, "asked"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (command.state / "boot/web-1/console.log").read_text().endswith("flushed\n")
    assert command.leftovers() == []


def test_a_kept_disk_is_gone_on_with(command: Command) -> None:
    first = command.json("good", "--keep")
    disk = Path(first["kept"]) / "disk.qcow2"
    before = disk.stat().st_ino
    assert command.json("good", "--keep")["exit"] == 0
    assert disk.stat().st_ino == before
    assert command.leftovers() == []


def test_a_kept_disk_of_another_image_is_refused(command: Command) -> None:
    assert command.json("good", "--keep")["exit"] == 0
    with command.image.open("ab") as image:
        image.write(bytes(512))
    done = command.boot("good", "--keep")
    assert done.returncode == 1
    assert "remove that folder to start afresh" in done.stderr


def test_one_machine_is_not_booted_twice_at_once(command: Command) -> None:
    first = command.start("stuck")
    command.wait_for(lambda: moment(command, "guest"))
    second = command.boot("good")
    assert second.returncode == 1
    assert f"being booted already (by process {first.pid})" in second.stderr


def test_the_command_can_be_printed(command: Command) -> None:
    done = command.boot("good", "--print-command")
    assert done.returncode == 0
    for words in ("qemu-img create", "emulator serve", "guestfwd=", "type=3,asset=OpenStack Nova"):
        assert words in done.stdout
    assert not command.state.exists()


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        ("name: web-1\ndialects: {nocloud: on}\n", ["--datasource", "openstack"], "openstack: on"),
        ("name: web-1\ndialects: {kubevirt: on}\n", [], "dialects"),
        ("name: web-1\ndialects: {kubevirt: on}\n", [], "one of openstack, nocloud"),
        ("nome: web-1\n", [], "nome"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(
    command: Command, text: str, flags: list[str], words: str
) -> None:
    command.instance.write_text(text)
    done = command.boot("good", *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "web-1.yaml" in done.stderr


def test_the_datasource_follows_the_description(command: Command) -> None:
    command.instance.write_text("name: web-1\ndialects: {nocloud: on}\n")
    done = command.boot("good", "--print-command")
    assert "serial=ds=nocloud;dsmode=net;s=http://169.254.169.254/nocloud/" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gce", ["type=1,product=Google Compute Engine", "net=169.254.0.0/16"]),
        (
            "azure",
            [
                "type=3,asset=7783-7084-3265-9085-8269-3286-77",
                "--door wireserver=unix:",
                "net=168.0.0.0/7",
                "guestfwd=tcp:168.63.129.16:80-cmd:",
            ],
        ),
    ],
)
def test_clouds_with_addresses_and_names_of_their_own(
    command: Command, name: str, words: list[str]
) -> None:
    command.instance.write_text(f"name: web-1\ndialects: [{name}, kubevirt]\n")
    done = command.boot("good", "--print-command", "--datasource", name)
    assert [word for word in words if word not in done.stdout] == []


def test_openstack_goes_before_nocloud(command: Command) -> None:
    command.instance.write_text("name: web-1\ndialects: [nocloud, openstack]\n")
    done = command.boot("good", "--print-command")
    assert "type=3,asset=OpenStack Nova" in done.stdout


def test_ssh_without_dhcp_is_refused(command: Command) -> None:
    command.instance.write_text(
        "name: web-1\ninterfaces:\n- mac: 52:54:00:00:00:01\n  addresses: [10.0.0.5/24]\n"
    )
    done = command.boot("good", "--ssh", "2222")
    assert done.returncode == 1
    assert "web-1.yaml: --ssh needs dhcp4 on the first interface" in done.stderr
    assert command.boot("good").returncode == 0


def test_printing_builds_no_image(command: Command) -> None:
    command.image = Path("debian-13")
    done = command.boot("good", "--print-command")
    assert (done.returncode, done.stdout) == (1, "")
    assert "debian-13 is not here yet: imds-emulator image build debian-13" in done.stderr
    assert not (command.folder / "cache").exists()


def test_a_qemu_that_is_too_old_is_refused(command: Command) -> None:
    command.environment["FAKE_QEMU_VERSION"] = "4.2.1"
    done = command.boot("good")
    assert done.returncode == 1
    assert "version 4.2; 5.2 or later" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x1f\x8b123", "gzip"),
        (b"QFI\xfb", "truncated"),
    ],
)
def test_what_is_no_image_is_refused(command: Command, content: bytes | None, words: str) -> None:
    command.image.unlink()
    if content is not None:
        command.image.write_bytes(content)
    done = command.boot("good")
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize(
    "flags",
    [["--ssh", "0"], ["--timeout", "0"], ["--memory", "10"], ["--datasource", "floppy"]],
)
def test_flags_have_bounds(command: Command, flags: list[str]) -> None:
    assert command.boot("good", *flags).returncode == 2


def tmpfs(command: Command, size: str) -> None:
    """Let the state be on a file system of that size."""
    command.state.mkdir()
    command.wrapper = [
        *("unshare", "--map-root-user", "--mount", "sh", "-c"),
        f'mount -t tmpfs -o size={size} none {command.state} && exec "$@"',
        "sh",
    ]


@pytest.mark.namespace
def test_a_full_disk_is_said(command: Command) -> None:
    tmpfs(command, "3m")
    report = command.json("stuck")
    assert (report["exit"], report["outcome"]) == (1, "disk-full")
    assert "no space is left" in report["message"]
    assert command.leftovers() == []


@pytest.mark.namespace
@pytest.mark.parametrize("size", ["4k", "16k", "100k", "220k", "400k"])
def test_a_disk_that_is_full_from_the_start_is_said(command: Command, size: str) -> None:
    # The firmware's variables alone take half a MiB.
    command.kernel = []
    tmpfs(command, size)
    done = command.boot("stuck")
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert str(command.state) in done.stderr
    assert "Traceback" not in done.stderr
    assert command.leftovers() == []
