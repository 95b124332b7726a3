"""A signature of a rendered document, made once when it is first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from emulator.core.message import Reply, Request, Services
from emulator.errors import StartError

Seal = Callable[[str, bytes], bytes]
"""Signs a document, given the signature's form; raises ``StartError``."""


def unsigned(_form: str, _document: bytes) -> bytes:
    """Refuse to sign, where documents are rendered but not served."""
    raise StartError("there is no key to sign with here")


class Sealed:
    """Answers with the signature of one rendering of a document.

    Few guests ever ask for it, and the library that makes it costs each server 20 MiB: so it is
    made neither before somebody asks nor twice. In a thread, for the library takes its time.
    """

    def __init__(self, seal: Seal, form: str, document: Reply) -> None:
        """Sign the body of ``document``, whose other parts the answer keeps."""
        self._seal = seal
        self._form = form
        self._document = document
        self._reply: Reply | None = None
        self._work: asyncio.Future[bytes] | None = None

    def __call__(self, _request: Request, _services: Services) -> Reply | Awaitable[Reply]:
        """Give the signature."""
        return self._reply or self._made()

    async def _made(self) -> Reply:
        work = self._work
        if work is None or (work.done() and work.exception() is not None):
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(None, self._seal, self._form, self._document.body)
            self._work = work
        # A guest that hangs up ends its own waiting, not that of the others.
        self._reply = replace(self._document, body=await asyncio.shield(work))
        return self._reply
