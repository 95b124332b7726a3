"""Tokens are rotated as the kubelet does while guests ask for them: none is lost, none is torn."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.server.process import Serving
from tests.sources.test_downward import go_quote
from tests.tokens.test_files import make_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUESTS = 4
REQUESTS = 2_500  # of each
BETWEEN = 0.1  # seconds from one rotation to the next: the kubelet takes an hour

FIRST = 1_900_000_000


class Volume:
    """A projected volume: every version in a folder of its own, and ``..data`` leads to one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = FIRST
        self._write()
        for name in ("annotations", "labels", "tokens"):
            (folder / name).symlink_to(f"..data/{name}")

    def rotate(self) -> None:
        """Write the next version, swap, and remove the last one, as the kubelet does."""
        before = (self.folder / "..data").readlink()
        self.number += 1
        self._write()
        shutil.rmtree(self.folder / before)

    def _write(self) -> None:
        version = self.folder / f"..{self.number}"
        (version / "tokens").mkdir(parents=True)
        (version / "annotations").write_text("")
        (version / "labels").write_text(f"vm.kubevirt.io/name={go_quote('web-1')}\n")
        (version / "tokens/token").write_text(make_token(self.number, padding=1_000))
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")


@contextmanager
def rotated(volume: Volume) -> Iterator[None]:
    """Rotate again and again, meanwhile."""
    stop = threading.Event()

    def turn() -> None:
        while not stop.wait(BETWEEN):
            volume.rotate()

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ask(url: str) -> list[tuple[int, str]]:
    """Ask for the token again and again on one connection; give all answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    answers = []
    for _ in range(REQUESTS):
        connection.request("GET", "/v1/token", headers={"Metadata": "true"})
        answer = connection.getresponse()
        answers.append((answer.status, json.loads(answer.read()).get("token", "")))
    connection.close()
    return answers


def test_no_request_is_lost_and_no_token_torn(tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    volume = Volume(tmp_path / "pod")
    with (
        Serving(tmp_path, "--podinfo", str(volume.folder)) as server,
        ThreadPoolExecutor(GUESTS) as guests,
    ):
        with rotated(volume):
            each = list(guests.map(ask, [server.url] * GUESTS))
        whole = {make_token(n, padding=1_000): n for n in range(FIRST, volume.number + 1)}
        # The traffic really met rotations.
        assert len(whole) > 10
        for answers in each:
            assert len(answers) == REQUESTS
            assert {status for status, _ in answers} == {200}
            numbers = [whole[token] for _, token in answers]
            assert numbers == sorted(numbers), "a token came after a newer one"
        assert [token for _, token in ask(server.url)][-1] == make_token(
            volume.number, padding=1_000
        )
