from __future__ import annotations

import fcntl
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from emulator.boot import disk
from emulator.boot.monitor import press_power_button
from emulator.boot.workspace import workspace
from emulator.errors import BootError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def base(tmp_path: Path) -> disk.Disk:
    path = tmp_path / "base.img"
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    return disk.inspect(path)


def test_what_is_not_kept_goes(tmp_path: Path, base: disk.Disk) -> None:
    with workspace(tmp_path / "state", "web-1", keep=False) as space:
        overlay = space.overlay(base)
        assert space.variables(Path(base.path)).read_bytes() == Path(base.path).read_bytes()
        assert overlay.read_bytes()[:4] == disk.QCOW2
        assert len(str(space.sockets / "metadata")) < 100
        assert space.free() > 0
    assert not overlay.exists()
    assert not space.sockets.exists()
    assert space.console.exists()


def test_what_is_kept_stays(tmp_path: Path, base: disk.Disk) -> None:
    state = tmp_path / "state"
    with workspace(state, "web-1", keep=True) as space:
        overlay = space.overlay(base)
        copy = space.variables(Path(base.path))
        copy.write_bytes(b"changed")
    with workspace(state, "web-1", keep=True) as space:
        assert space.overlay(base) == overlay
        assert space.variables(Path(base.path)).read_bytes() == b"changed"
    assert overlay.stat().st_mode & 0o077 == 0 or overlay.parent.stat().st_mode & 0o077 == 0


def test_a_kept_disk_without_record_is_refused(tmp_path: Path, base: disk.Disk) -> None:
    with workspace(tmp_path / "state", "web-1", keep=True) as space:
        overlay = space.overlay(base)
        overlay.with_name("disk.json").unlink()
        with pytest.raises(ImageError, match="not recorded"):
            space.overlay(base)


def test_leftovers_of_a_killed_boot_are_swept(tmp_path: Path) -> None:
    stale = tmp_path / "state" / "boot" / "web-1" / "run.dead"
    stale.mkdir(parents=True)
    sockets = tmp_path / "imds-dead"
    sockets.mkdir()
    (stale / "sockets").symlink_to(sockets)
    with workspace(tmp_path / "state", "web-1", keep=False) as space:
        assert not stale.exists()
        assert not sockets.exists()
        assert (space.run / "sockets").readlink() == space.sockets


def test_only_one_at_a_time(tmp_path: Path) -> None:
    home = tmp_path / "state" / "boot" / "web-1"
    home.mkdir(parents=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(BootError, match="being booted already"),
            workspace(tmp_path / "state", "web-1", keep=False),
        ):
            pass


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(BootError, match="Not a directory"),
        workspace(tmp_path / "file", "web-1", keep=False),
    ):
        pass


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        pytest.raises(BootError, match="No space left"),
        workspace(tmp_path, "web-1", keep=False),
    ):
        pass


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_overlay_that_cannot_be_made_leaves_nothing(tmp_path: Path, base: disk.Disk) -> None:
    gone = msgspec.structs.replace(base, path=str(tmp_path / "gone"))
    Path(gone.path).write_bytes(b"")
    with workspace(tmp_path / "state", "web-1", keep=True) as space:
        with pytest.raises(ImageError):
            space.overlay(msgspec.structs.replace(gone, kind="qcow2"))
        assert not (space.kept / "disk.qcow2").exists()


@pytest.mark.parametrize(
    ("header", "kind", "partitioned", "refers"),
    [
        (bytes(510) + b"\x55\xaa", "raw", True, False),
        (bytes(0x438) + b"\x53\xef", "raw", False, False),
        (b"QFI\xfb" + (3).to_bytes(4) + bytes(80), "qcow2", True, False),
        (b"QFI\xfb" + (2).to_bytes(4) + (9).to_bytes(8) + bytes(80), "qcow2", True, True),
        (
            b"QFI\xfb" + (3).to_bytes(4) + bytes(64) + (4).to_bytes(8) + bytes(9),
            "qcow2",
            True,
            True,
        ),
    ],
)
def test_images_are_told_by_their_header(
    tmp_path: Path, *, header: bytes, kind: str, partitioned: bool, refers: bool
) -> None:
    path = tmp_path / "image"
    path.write_bytes(header)
    found = disk.inspect(path)
    assert (found.kind, found.partitioned, found.refers) == (kind, partitioned, refers)


def test_folders_and_unknown_files_are_no_images(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="a folder"):
        disk.inspect(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ImageError, match="neither a qcow2 header nor a partition table"):
        disk.inspect(tmp_path / "text")


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[tuple[Path, list[bytes]]]:
    """Give a monitor's socket, and what it is told."""
    told: list[bytes] = []
    path = tmp_path / "monitor"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer, peer.makefile("rwb", buffering=0) as stream:
                stream.write(b'{"QMP": {}}\n')
                for _ in range(2):
                    told.append(stream.readline())
                    stream.write(b'{"return": {}}\n')

        thread = threading.Thread(target=answer)
        thread.start()
        yield path, told
        thread.join()


def test_the_power_button_is_pressed(monitor: tuple[Path, list[bytes]]) -> None:
    path, told = monitor
    assert press_power_button(path)
    assert b"qmp_capabilities" in told[0]
    assert b"system_powerdown" in told[1]


def test_a_monitor_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not press_power_button(tmp_path / "nothing")
