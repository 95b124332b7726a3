"""Guests that ask without end while something happens to the server."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.reliability.guests import Answer, Guest, Torn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
TOKEN = "X-aws-ec2-metadata-token"
LARGE = 1 << 20

DESCRIPTION = """\
name: web-1
uuid: 11111111-1111-4111-8111-111111111111
dialects: {ec2: {tokens: required}, kubevirt: {}, gce: {}, azure: {}, nocloud: {}}
user_data: {file: large}
"""
"""Beside it is ``large``, LARGE bytes."""

# Path and headers; each has one right answer.
ASKED: tuple[tuple[str, dict[str, str]], ...] = (
    ("/latest/meta-data/instance-id", {TOKEN: ""}),
    ("/latest/user-data", {TOKEN: ""}),
    ("/v1/instance", {"Metadata": "true"}),
    ("/computeMetadata/v1/instance/id", {"Metadata-Flavor": "Google"}),
    ("/metadata/instance?api-version=2021-02-01", {"Metadata": "true"}),
    ("/nocloud/meta-data", {}),
)


class Tally:
    """What became of the requests: ``asked``, ``retried``, ``lost``, ``torn``, ``wrong``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.right: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.notes: list[str] = []

    def note(self, what: str, about: object = "") -> None:
        with self.lock:
            self.counts[what] += 1
            if about:
                self.notes.append(f"{what}: {about!r:.300}")

    def judge(self, path: str, answer: Answer) -> None:
        """Count an answer, which must be a 200 with the same body as ever."""
        with self.lock:
            right = self.right.setdefault(path, answer.body)
        self.note("asked")
        if answer.status != 200 or answer.body != right:
            self.note("wrong", (path, answer.head, len(answer.body), len(right)))


class Persistent:
    """A guest that asks once more after ``pause``, on a new connection, and then no more.

    It keeps its session token, whatever becomes of the server.
    """

    def __init__(self, url: str, pause: Callable[[], None], tally: Tally) -> None:
        self._url = url
        self._pause = pause
        self._tally = tally
        self._guest: Guest | None = None
        self._token = self._issued()

    def round(self) -> None:
        """Ask for everything, a new token too."""
        for path, headers in ASKED:
            own = {TOKEN: self._token} if TOKEN in headers else headers
            answer = self._persist(path, "GET", own)
            if answer is not None:
                self._tally.judge(path, answer)
        # The one that it has is good still, so another is no replacement.
        if not self._issued():
            self._tally.note("wrong", "a token was refused")

    def close(self) -> None:
        if self._guest is not None:
            self._guest.close()

    def _issued(self) -> str:
        answer = self._persist("/latest/api/token", "PUT", TTL)
        self._tally.note("asked")
        return answer.body.decode() if answer is not None and answer.status == 200 else ""

    def _persist(self, path: str, method: str, headers: dict[str, str]) -> Answer | None:
        try:
            return self._once(path, method, headers)
        except (OSError, Torn) as error:
            self._tally.note("torn" if isinstance(error, Torn) else "retried")
        self._pause()
        try:
            return self._once(path, method, headers)
        except (OSError, Torn) as error:
            self._tally.note("lost", (path, error))
            return None

    def _once(self, path: str, method: str, headers: dict[str, str]) -> Answer:
        guest = self._guest or Guest(self._url)
        self._guest = None
        try:
            answer = guest.ask(path, method, **headers)
        except BaseException:
            guest.close()
            raise
        if b"\r\nConnection: close" in answer.head or method == "PUT":
            guest.close()
        else:
            self._guest = guest
        return answer


@contextmanager
def crowd(url: str, pause: Callable[[], None], guests: int) -> Iterator[Tally]:
    """Have ``guests`` ask without end meanwhile; all of them have begun before."""
    tally = Tally()
    stop = threading.Event()
    crowd_ = [Persistent(url, pause, tally) for _ in range(guests)]
    crowd_[0].round()

    def ask(guest: Persistent) -> None:
        while not stop.is_set():
            guest.round()
        guest.close()

    threads = [threading.Thread(target=ask, args=(guest,)) for guest in crowd_]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join()
