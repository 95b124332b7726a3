"""Disks that are full, cannot be written, or go: guests lose no more than what needs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.reliability.guests import Guest
from tests.reliability.load import TOKEN, TTL
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.namespace

NAME = "/latest/meta-data/hostname"
PASSWORD = "/openstack/latest/password"
VM = "name: {name}\ndialects: {{ec2: {{tokens: optional}}, openstack: {{}}}}\n"
ROOM = 256 << 10
_MOUNT = f'mount -t tmpfs -o size={ROOM} none "$0" && exec "$@"'


class Disk:
    """A server that has a small disk of its own, which nobody else sees, at ``folder``."""

    def __init__(self, folder: Path, *flags: str, audit: bool = False) -> None:
        """Have its audit log or else its state there."""
        self.description = folder / "vm.yaml"
        self.description.write_text(VM.format(name="first"))
        self.path = folder / "disk"
        self.path.mkdir()
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        prefix = ("unshare", *user, "--mount", "sh", "-c", _MOUNT, str(self.path))
        self.server = Serving(
            self.path if audit else folder,
            *(str(self.description), *flags),
            state=str(folder / "state" if audit else self.path / "state"),
            prefix=prefix,
        )

    @property
    def inside(self) -> Path:
        """The disk as others reach it."""
        return Path(f"/proc/{self.server.process.pid}/root{self.path}")

    def fill(self) -> None:
        with (self.inside / "ballast").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                return

    def clear(self) -> None:
        (self.inside / "ballast").unlink()

    def run(self, *command: str) -> None:
        """Run ``command`` where the disk is seen."""
        target = ("--target", str(self.server.process.pid))
        user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        subprocess.run(["nsenter", *target, *user, "--mount", "--", *command], check=True)


def test_a_full_disk_costs_audit_lines_and_no_guest_anything(tmp_path: Path) -> None:
    disk = Disk(tmp_path, audit=True)
    with disk.server as server, Guest(server.url) as guest:
        log = disk.inside / "audit.jsonl"
        assert guest.ask(NAME).body == b"first"
        until(lambda: log.read_bytes().count(b"\n") == 1)
        disk.fill()
        asked = 1
        dropped = 'imds_audit_lines_total{outcome="dropped"}'
        while not server.metric(dropped):
            for _ in range(50):
                assert guest.ask(NAME).body == b"first"
            asked += 50
            assert asked < 5000
        assert sum("audit lines are being lost" in line for line in server.lines) == 1
        disk.clear()

        def goes_on() -> bool:
            nonlocal asked
            asked += 1
            assert guest.ask(NAME).status == 200
            return any("the audit log goes on" in line for line in server.lines)

        until(goes_on)
        written = 'imds_audit_lines_total{outcome="written"}'
        until(lambda: server.metric(written) + server.metric(dropped) == asked)
        lines, torn = whole(log.read_bytes())
        assert sum(line.get("imds.lost", 0) for line in lines) == server.metric(dropped)
        # What fitted of a line when the disk was full; the next began on one of its own.
        assert torn <= sum("imds.lost" in line for line in lines)
        assert server.ready() == {}


def whole(log: bytes) -> tuple[list[dict[str, Any]], int]:
    """Give the lines that are whole, and how many are not."""
    lines, torn = [], 0
    for line in log.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            torn += 1
    return lines, torn


def full(disk: Disk) -> Callable[[], None]:
    disk.fill()
    return disk.clear


def read_only(disk: Disk) -> Callable[[], None]:
    disk.run("mount", "-o", "remount,ro", str(disk.path))
    return lambda: disk.run("mount", "-o", "remount,rw", str(disk.path))


def gone(disk: Disk) -> Callable[[], None]:
    # Another, which is read-only and empty, hides it.
    disk.run("mount", "-t", "tmpfs", "-o", "ro", "none", str(disk.path))
    return lambda: disk.run("umount", str(disk.path))


@pytest.mark.parametrize("fault", [full, read_only, gone])
def test_without_its_state_a_server_goes_on(
    tmp_path: Path, fault: Callable[[Disk], Callable[[], None]]
) -> None:
    disk = Disk(tmp_path, "--last-good")
    with disk.server as server, Guest(server.url) as guest:
        token = session(server)
        heal = fault(disk)
        lines = len(server.lines)
        # What it has, it goes on with: keys, tokens, documents.
        assert guest.ask(NAME, **{TOKEN: token}).status == 200
        assert guest.ask(NAME, **{TOKEN: session(server)}).status == 200
        # A change of the description is served, though it cannot be kept for a later start.
        disk.description.write_text(VM.format(name="second"))
        until(lambda: guest.ask(NAME).body == b"second")
        until(lambda: any("cannot keep the last good" in line for line in server.lines[lines:]))
        # What must be kept is refused, and the server says why.
        assert posted(guest) == 500
        until(lambda: any(PASSWORD in line for line in server.lines[lines:]))
        assert not any("Traceback" in line for line in server.lines)
        heal()
        assert posted(guest) == 200
        assert guest.ask(PASSWORD).body == b"secret"


def session(server: Serving) -> str:
    with Guest(server.url) as guest:
        answer = guest.ask("/latest/api/token", "PUT", **TTL)
        assert answer.status == 200
        return answer.body.decode()


def posted(guest: Guest) -> int:
    guest.socket.sendall(
        f"POST {PASSWORD} HTTP/1.1\r\nHost: metadata\r\nContent-Length: 6\r\n\r\nsecret".encode()
    )
    return guest.answer().status
