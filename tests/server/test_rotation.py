"""Tokens are rotated as the kubelet does while guests ask for them: none is lost, none is torn."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.pod import Volume, described, started
from tests.support.process import UNLIMITED
from tests.tokens.test_files import make_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUESTS = 4
REQUESTS = 2_500  # of each
BETWEEN = 0.1  # seconds from one rotation to the next: the kubelet takes an hour

FIRST = 1_900_000_000


class Rotating:
    """A pod's volume whose token is the ``number``-th."""

    def __init__(self, folder: Path) -> None:
        self.number = FIRST
        self.volume = Volume(folder, self._files())

    def turn(self) -> None:
        """Have the kubelet write the next token."""
        self.number += 1
        self.volume.replace(self._files())

    def _files(self) -> dict[str, bytes]:
        token = make_token(self.number, padding=1_000).encode()
        return {**described("web-1"), "tokens/token": token}


@contextmanager
def rotated(pod: Rotating) -> Iterator[None]:
    """Rotate again and again, meanwhile."""
    stop = threading.Event()

    def turn() -> None:
        while not stop.wait(BETWEEN):
            pod.turn()

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
    pod = Rotating(tmp_path / "pod")
    with (
        started(tmp_path / "server", pod.volume, "shop", "default", *UNLIMITED) as server,
        ThreadPoolExecutor(GUESTS) as guests,
    ):
        with rotated(pod):
            each = list(guests.map(ask, [server.url] * GUESTS))
        whole = {make_token(n, padding=1_000): n for n in range(FIRST, pod.number + 1)}
        # The traffic really met rotations.
        assert len(whole) > 10
        for answers in each:
            assert len(answers) == REQUESTS
            assert {status for status, _ in answers} == {200}
            numbers = [whole[token] for _, token in answers]
            assert numbers == sorted(numbers), "a token came after a newer one"
        assert [token for _, token in ask(server.url)][-1] == make_token(pod.number, padding=1_000)
