"""A token file goes wrong in every way that a file can: an error for as long as that lasts."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.reliability.guests import Guest, asked
from tests.server.process import Serving, until
from tests.support.pod import Volume, described, started
from tests.tokens.test_files import make_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

METADATA = {"Metadata": "true"}
TOKEN = "/v1/token"
# Root may read everything, unless it has given that right up.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
TURN = 0.01
TURNS = 300


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    path.write_text(make_token(1)[:-400])


def unreadable(path: Path) -> None:
    path.chmod(0)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


FAULTS = (missing, empty, torn, unreadable, folder, pipe, loop, huge, garbage)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    place = tmp_path_factory.mktemp("tokens")
    (place / "token").write_text(make_token(1))
    (place / "vm.yaml").write_text(f"name: web-1\ntokens: [{{file: {place}/token}}]\n")
    prefix = UNPRIVILEGED if os.geteuid() == 0 else ()
    with Serving(place, str(place / "vm.yaml"), prefix=prefix) as serving:
        yield serving


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_it_is_said_at_once_and_over_with_the_fault(
    server: Serving, fault: Callable[[Path], None]
) -> None:
    path = server.log.parent / "token"
    fault(path)
    lines = len(server.lines)
    begun = time.monotonic()
    answer = asked(server.url, TOKEN, **METADATA)
    # Contract 0.1-7: the most impatient client waits a second. The rest is for a busy machine.
    assert time.monotonic() - begun < 5
    assert (answer.status, answer.head.count(b"\r\nContent-Type: ")) == (500, 1)
    assert asked(server.url, "/openstack/latest/meta_data.json").status == 200
    # One line says why, with the path and nothing of what the file holds.
    until(lambda: len(server.lines) > lines)
    said = "\n".join(server.lines[lines:])
    assert (str(path) in said, "Traceback" in said, make_token(1)[:20] in said) == (
        *(True, False, False),
    )
    fresh = path.with_name("fresh")
    fresh.write_text(make_token(1))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    fresh.rename(path)
    assert asked(server.url, TOKEN, **METADATA).status == 200


def test_a_token_that_is_rotated_100_times_a_second_is_always_had(tmp_path: Path) -> None:
    files = described("web-1")
    volume = Volume(tmp_path / "pod", files | {"tokens/token": make_token(0, 1000).encode()})
    over = threading.Event()

    def rotate() -> None:
        for number in range(1, TURNS):
            token = make_token(number, 1000).encode()
            volume.replace(files | {"tokens/token": token})
            time.sleep(TURN)
        over.set()

    with (
        started(tmp_path / "server", volume, "shop") as server,
        Guest(server.url) as guest,
    ):
        rotating = threading.Thread(target=rotate)
        rotating.start()
        whole = {make_token(number, 1000): number for number in range(TURNS)}
        numbers = []
        while not over.is_set():
            answer = guest.ask(TOKEN, **METADATA)
            assert answer.status == 200, answer.body
            (token,) = (token for token in whole if token.encode() in answer.body)
            numbers.append(whole[token])
        rotating.join()
    assert numbers == sorted(numbers)
    # The traffic really met rotations.
    assert len(set(numbers)) > 10
