"""Downloads from a local server that breaks off, lies and changes its mind."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from emulator.boot.images import download
from emulator.boot.images.cache import Cache
from emulator.boot.images.download import fetch, published_digest
from emulator.boot.images.progress import Bar, line
from emulator.boot.images.pull import Wanted, pull, resolve
from emulator.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b"QFI\xfb" + (3).to_bytes(4) + bytes(96) + hashlib.shake_128(b"").digest(1 << 20)
DIGEST = hashlib.sha256(BODY).hexdigest()


class Publisher:
    """What the server has, and how it misbehaves."""

    def __init__(self) -> None:
        self.body = BODY
        self.tag = '"one"'
        self.breaks_after: list[int] = []
        self.status = 0
        self.ranges = True
        self.asked: list[str] = []
        self.url = ""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    state = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            if state.status:
                self.send_error(state.status)
                return
            fresh = not wanted or not state.ranges or self.headers.get("If-Range") != state.tag
            start = 0 if fresh else int(wanted[6:-1])
            if start >= len(state.body):
                self.send_error(416)
                return
            rest = state.body[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            if state.tag:
                self.send_header("ETag", state.tag)
            self.end_headers()
            cut = state.breaks_after.pop(0) if state.breaks_after else len(rest)
            with contextlib.suppress(OSError):
                self.wfile.write(rest[:cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/images/debian.qcow2"
        yield state
        server.shutdown()
        thread.join()


def silent(done: int, total: int) -> None:
    assert done >= 0
    assert total >= 0


def test_a_good_download(publisher: Publisher, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", lambda *state: seen.append(state))
    assert (tmp_path / "p").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_broken_connection_is_resumed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.breaks_after = [300_000, 200_000]
    fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    assert publisher.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_what_stays_broken_is_kept_and_resumed_next_time(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.breaks_after = [1000] * download.ATTEMPTS
    with pytest.raises(ImageError, match=r"ended after 1000 of \d+ bytes.*run it again"):
        fetch_whole(publisher, tmp_path)
    fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    assert publisher.asked[-1] == "bytes=1000-"


def fetch_whole(publisher: Publisher, tmp_path: Path) -> None:
    """Fetch from a server that only ever sends the beginning."""
    publisher.ranges = False
    try:
        fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    finally:
        publisher.ranges = True


def test_a_changed_file_is_fetched_from_its_beginning(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.breaks_after = [1000] * download.ATTEMPTS
    with pytest.raises(ImageError):
        fetch_whole(publisher, tmp_path)
    publisher.body, publisher.tag = BODY[::-1], '"two"'
    digest = hashlib.sha256(publisher.body).hexdigest()
    fetch(publisher.url, tmp_path / "p", digest, "sha256", silent)
    assert (tmp_path / "p").read_bytes() == publisher.body


def test_without_validator_nothing_is_resumed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.tag = ""
    publisher.breaks_after = [1000]
    fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    assert publisher.asked == ["", ""]


def test_a_part_that_is_already_whole_is_enough(publisher: Publisher, tmp_path: Path) -> None:
    publisher.breaks_after = [1000] * download.ATTEMPTS
    with pytest.raises(ImageError):
        fetch_whole(publisher, tmp_path)
    (tmp_path / "p").write_bytes(BODY)
    fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)


def test_a_corrupted_file_is_removed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.body = BODY[:-1] + b"\0"
    with pytest.raises(ImageError, match=f"wanted {DIGEST}; the file was removed"):
        fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_told(publisher: Publisher, tmp_path: Path, status: int) -> None:
    publisher.status = status
    with pytest.raises(ImageError, match=f"the server answers {status}"):
        fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)


def test_no_server_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="refused"):
        fetch("http://127.0.0.1:9/x", tmp_path / "p", DIGEST, "sha256", silent)


def test_a_full_disk_is_told_and_not_tried_again(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(ImageError, match="No space left"):
        fetch(publisher.url, tmp_path / "p", DIGEST, "sha256", silent)
    assert len(publisher.asked) == 1


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "http://", "debian"])
def test_only_http_is_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not an http or https URL"):
        fetch(url, tmp_path / "p", DIGEST, "sha256", silent)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "a" * 128])
def test_a_digest_must_look_like_one(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="64 hex digits"):
        fetch("http://127.0.0.1:9/x", tmp_path / "p", digest, "sha256", silent)


def test_the_publishers_list_gives_the_digest(publisher: Publisher) -> None:
    publisher.body = f"{'0' * 64}  other.img\n{DIGEST} *debian.qcow2\n".encode()
    assert published_digest(publisher.url, "debian.qcow2", "sha256") == DIGEST
    with pytest.raises(ImageError, match=r"does not list x\.img"):
        published_digest(publisher.url, "x.img", "sha256")
    publisher.status = 404
    with pytest.raises(ImageError, match="404"):
        published_digest(publisher.url, "debian.qcow2", "sha256")


def test_a_pulled_image_is_in_the_cache_once(publisher: Publisher, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    wanted = resolve(publisher.url, DIGEST.upper())
    image = pull(wanted, cache, silent)
    assert (image.name, image.origin) == ("debian", publisher.url)
    assert pull(wanted, cache, silent) == image
    assert len(publisher.asked) == 1
    assert cache.all() == [image]
    assert list(tmp_path.glob("*.part*")) == []


def test_two_pulls_at_once_fetch_once(publisher: Publisher, tmp_path: Path) -> None:
    wanted = resolve(publisher.url, DIGEST)
    found: list[str] = []

    def one() -> None:
        found.append(pull(wanted, Cache(tmp_path), silent).disk)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(publisher.asked) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html>", "a web page"),
        (b"QFI\xfb" + (3).to_bytes(4) + (8).to_bytes(8) + bytes(90), "refers to another file"),
    ],
)
def test_what_is_fetched_must_be_an_image_of_its_own(
    publisher: Publisher, tmp_path: Path, body: bytes, words: str
) -> None:
    publisher.body = body
    wanted = Wanted("x", publisher.url, hashlib.sha256(body).hexdigest(), "sha256")
    with pytest.raises(ImageError, match=words):
        pull(wanted, Cache(tmp_path), silent)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("source", "sha256", "words"),
    [
        ("debian-99", "", "no image is called 'debian-99'; known: debian-12-genericcloud"),
        ("https://h/x.qcow2", "", "give --sha256"),
        ("https://h/", DIGEST, "names no file"),
        ("ftp://h/x", DIGEST, "not an http"),
        ("https://h/x", "12", "64 hex digits"),
    ],
)
def test_what_cannot_be_pulled_is_refused(source: str, sha256: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        resolve(source, sha256)


def test_a_known_name_may_come_with_its_digest() -> None:
    wanted = resolve("ubuntu-24.04", DIGEST)
    assert wanted.digest == DIGEST
    assert wanted.url.endswith("ubuntu-24.04-server-cloudimg-amd64.img")


def test_a_known_names_digest_is_its_publishers(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emulator.boot.images.pull.published_digest", lambda *_: "f" * 128)
    wanted = resolve("debian-12-genericcloud")
    assert (wanted.digest, wanted.algorithm) == ("f" * 128, "sha512")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_on_a_terminal() -> None:
    stream = Terminal()
    with Bar(stream) as bar:
        for done in (0, 1, 50, 100):
            bar.show(done, 100)
    text = stream.getvalue()
    assert text.count("\r") == 4
    assert text.endswith("100% of 0.0 MiB\n")


def test_the_bar_elsewhere_is_a_line_every_tenth() -> None:
    stream = io.StringIO()
    with Bar(stream) as bar:
        for done in range(1001):
            bar.show(done, 1000)
    assert len(stream.getvalue().splitlines()) == 11
    with Bar(stream) as bar:
        bar.show(5 << 20, 0)
    assert stream.getvalue().endswith("5.0 MiB\n")


def test_the_bar_fills() -> None:
    assert line(50 << 20, 100 << 20, live=True) == f"\r[{'#' * 15}{'.' * 15}]  50% of 100.0 MiB"
