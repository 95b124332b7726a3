"""A description goes wrong in every way that a file can: the last good one is served meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest
from tests.server.process import Serving, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "/latest/meta-data/hostname"
GOOD = "name: {name}\nuser_data: |\n  a line of it\npublic_keys: {{ada: {key}}}\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPcBdqH5cXdihQwcRxTJbx2DXXY4+emi2j5IRikl7sn"
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def described(name: str) -> str:
    return GOOD.format(name=name, key=KEY)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(4096))


def zeros(path: Path) -> None:
    # As a file system leaves a file after a power cut.
    path.write_bytes(bytes(4096))


def half_written(path: Path) -> None:
    path.write_text(described("half")[:-20])


def empty(path: Path) -> None:
    path.write_text("")


def missing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    path.chmod(0)
    os.utime(path)  # a lost right alone shows in no time or size


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def bomb(path: Path) -> None:
    # Each name stands for ten of the one before.
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))


def deep(path: Path) -> None:
    path.write_text("name: " + "[" * 100_000)


FAULTS = (
    *(garbage, zeros, half_written, empty, missing, folder, unreadable, loop, nowhere),
    *(huge, pipe, bomb, deep),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    place = tmp_path_factory.mktemp("described")
    (place / "vm.yaml").write_text(described("first"))
    prefix = UNPRIVILEGED if os.geteuid() == 0 else ()
    with Serving(place, str(place / "vm.yaml"), prefix=prefix) as serving:
        yield serving


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_last_good_one_is_served_until_there_is_a_good_one(
    server: Serving, fault: Callable[[Path], None]
) -> None:
    path = server.log.parent / "vm.yaml"
    name = fault.__name__.replace("_", "-")
    with Guest(server.url) as guest:
        before = guest.ask(NAME).body
        failed = server.metric('imds_reloads_total{outcome="failure"}')
        lines = len(server.lines)
        fault(path)
        until(lambda: server.metric("imds_reload_successful") == 0)
        until(server.ready)
        assert list(server.ready()) == ["descriptions"]
        assert server.metric('imds_reloads_total{outcome="failure"}') > failed
        # Once, and where; not again with each look at it.
        until(lambda: len(server.lines) > lines)
        said = "\n".join(server.lines[lines:])
        assert ("vm.yaml" in said, "Traceback" in said) == (True, False)
        answer = guest.ask(NAME)
        assert (answer.status, answer.body) == (200, before)
        # Back: what is good is served, on the same connection.
        fresh = path.with_name("fresh")
        fresh.write_text(described(name))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        fresh.rename(path)
        until(lambda: guest.ask(NAME).body == name.encode())
        until(lambda: not server.ready())
        assert server.metric("imds_reload_successful") == 1


def test_a_folder_of_descriptions_that_goes_is_missed_and_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "vms"
    place.mkdir()
    for number in (1, 2):
        text = f"name: vm-{number}\npeer: {{addresses: [127.0.0.{number}]}}\n"
        (place / f"{number}.yaml").write_text(text)
    with Serving(tmp_path, str(place)) as server, Guest(server.url, "127.0.0.2") as guest:
        assert guest.ask(NAME).body == b"vm-2"
        place.rename(tmp_path / "gone")
        until(server.ready)
        assert guest.ask(NAME).body == b"vm-2"
        # One bad file among the good keeps all as they were.
        (tmp_path / "gone/1.yaml").write_text("nme: vm-1\n")
        (tmp_path / "gone/2.yaml").write_text("name: vm-3\npeer: {addresses: [127.0.0.2]}\n")
        (tmp_path / "gone").rename(place)
        until(lambda: "1.yaml" in server.ready()["descriptions"])
        assert guest.ask(NAME).body == b"vm-2"
        (place / "1.yaml").unlink()
        until(lambda: guest.ask(NAME).body == b"vm-3")
        assert server.ready() == {}
