"""The server as its users run it: a process of its own, on sockets that the test made."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served(msgspec.Struct, frozen=True):
    """Where a running server answers guests, and where its operator."""

    guest: str
    operator: str

    def get(self, path: str) -> bytes:
        """Give what a guest gets at ``path`` with the native dialect's header."""
        request = urllib.request.Request(self.guest + path, headers={"Metadata": "true"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def served(description: str, folder: Path, *options: str) -> Iterator[Served]:
    """Serve ``description`` with a state folder of its own."""
    (folder / "vm.yaml").write_text(description)
    with ExitStack() as stack:
        guest, operator = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
        )
        urls = [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in (guest, operator)]
        command = [sys.executable, "-m", "emulator", "serve", str(folder / "vm.yaml")]
        command += ["--listen", f"fd:{guest.fileno()}", "--operator", f"fd:{operator.fileno()}"]
        command += ["--state", str(folder / "state"), *options]
        # The sockets queue whoever asks before the server takes over: nothing to wait for.
        descriptors = (guest.fileno(), operator.fileno())
        process = subprocess.Popen([*command, "--audit", "off"], pass_fds=descriptors)
        try:
            yield Served(*urls)
        finally:
            process.terminate()
            process.wait(20)
