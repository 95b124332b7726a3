"""``emulator.render.sealed``: a signature is made once, however many ask for it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tornado.httputil import HTTPHeaders

from emulator.core.message import Reply, Request
from emulator.errors import StartError
from emulator.render.sealed import Sealed
from tests.support.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Awaitable

REQUEST = Request("GET", "/signature", "", HTTPHeaders())


class Signer:
    """Signs once it may, unless it is to fail, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False
        self.gate = threading.Event()

    def __call__(self, form: str, document: bytes) -> bytes:
        self.asked += 1
        self.gate.wait(20)
        if self.fails:
            raise StartError("no key")
        return form.encode() + b" of " + document


@pytest.fixture
def signer() -> Signer:
    return Signer()


async def asked(sealed: Sealed, guest: Guest) -> Reply:
    found: Reply | Awaitable[Reply] = sealed(REQUEST, guest)
    return found if isinstance(found, Reply) else await found


def test_all_that_ask_at_once_get_one_signature(signer: Signer) -> None:
    sealed, guest = Sealed(signer, "pkcs7", Reply(200, b"text")), Guest("name: vm\n")

    async def main() -> list[Reply]:
        tasks = [asyncio.ensure_future(asked(sealed, guest)) for _ in range(20)]
        await asyncio.sleep(0.02)
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]
        signer.gate.set()
        return await asyncio.gather(*tasks[1:], asked(sealed, guest))

    found = asyncio.run(main())
    assert {reply.body for reply in found} == {b"pkcs7 of text"}
    assert signer.asked == 1
    # From then on there is nothing to wait for.
    assert isinstance(sealed(REQUEST, guest), Reply)


def test_a_failure_is_tried_again(signer: Signer) -> None:
    sealed, guest = Sealed(signer, "pkcs7", Reply(200, b"text")), Guest("name: vm\n")
    signer.gate.set()
    signer.fails = True
    for _ in range(2):
        with pytest.raises(StartError):
            asyncio.run(asked(sealed, guest))
    signer.fails = False
    assert asyncio.run(asked(sealed, guest)).body == b"pkcs7 of text"
    assert signer.asked == 3
