"""Where descriptors run out, guests wait or are turned away; nothing spins, and all comes back."""

from __future__ import annotations

import resource
import time
from contextlib import ExitStack
from pathlib import Path

from tests.reliability.guests import Guest, asked
from tests.server.process import Serving, until

NAME = "/openstack/latest/meta_data.json"


def described(folder: Path) -> str:
    """Describe a machine that needs no key to be made."""
    (folder / "token").write_text("a-token-from-a-file")
    (folder / "vm.yaml").write_text(f"name: web-1\ntokens: [{{file: {folder}/token}}]\n")
    return str(folder / "vm.yaml")


def allow(server: Serving, descriptors: int) -> None:
    """Set how many descriptors the running server may hold open."""
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors, hard))


def held(server: Serving) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def said(server: Serving, text: str) -> int:
    return sum(text in line for line in server.lines)


def test_without_any_left_it_neither_spins_nor_floods_the_log(tmp_path: Path) -> None:
    with Serving(tmp_path, described(tmp_path)) as server, ExitStack() as stack:
        before = [stack.enter_context(Guest(server.url)) for _ in range(4)]
        assert {guest.ask(NAME).status for guest in before} == {200}
        allow(server, held(server) + 3)
        late = [stack.enter_context(Guest(server.url)) for _ in range(40)]
        for guest in late:
            guest.send(NAME)
        until(lambda: said(server, "no connection can be taken"))
        used, begun = server.cpu(), time.monotonic()
        time.sleep(1.5)
        # One that tries again and again takes a whole processor, or all that it can have of one.
        assert server.cpu() - used < 0.3 * (time.monotonic() - begun)
        assert said(server, "no connection can be taken") == 1
        assert said(server, "Traceback") == 0
        # Who is connected is served as ever.
        assert {guest.ask(NAME).status for guest in before} == {200}
        allow(server, 1024)
        assert {guest.answer().status for guest in late} == {200}
        until(lambda: said(server, "connections are taken again"))
        assert server.metric('imds_limit_hits_total{limit="descriptors"}') >= 1
        assert said(server, "connections are taken again") == 1


def test_few_are_kept_for_files_and_for_who_has_fewer_connections(tmp_path: Path) -> None:
    description = Path(described(tmp_path))
    few = ("prlimit", "--nofile=96:96")
    with Serving(tmp_path, str(description), prefix=few) as server, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Guest(server.url))
        until(lambda: server.metric('imds_limit_hits_total{limit="descriptors"}') > 50)
        for _ in range(5):
            token = asked(server.url, "/v1/token", "127.0.0.2", Metadata="true")
            assert (token.status, b"a-token-from-a-file" in token.body) == (200, True)
        # A change is read as well.
        description.write_text("name: web-2\n")
        until(lambda: b"web-2" in asked(server.url, NAME, "127.0.0.2").body)
        assert held(server) < 96
        assert server.ready() == {}
        assert said(server, "no connection can be taken") == 0
