"""The random seed is new in each answer although its document is prebuilt."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import cast

from tornado.httputil import HTTPHeaders

from emulator.core.fresh import SEED_BYTES, SEED_PLACEHOLDER, Seeded
from emulator.core.message import Request, Services
from tests.support.ports import FakePorts


class _Services:
    def __init__(self, fake: FakePorts) -> None:
        self.ports = fake.ports


def test_the_placeholder_is_valid_base64_of_the_right_length() -> None:
    assert len(SEED_PLACEHOLDER) == len(base64.b64encode(bytes(SEED_BYTES)))


def test_each_answer_has_its_own_seed(fake_ports: FakePorts) -> None:
    live = cast(
        "Callable[[Request, Services], object]",
        Seeded(b'{"random_seed":"', b'"}', "application/json"),
    )
    services = cast("Services", _Services(fake_ports))
    request = Request("GET", "/x", "", HTTPHeaders())
    replies = [live(request, services) for _ in range(2)]
    seeds = [json.loads(reply.body)["random_seed"] for reply in replies]  # type: ignore[attr-defined]
    assert len(set(seeds)) == 2
    assert [len(base64.b64decode(seed, validate=True)) for seed in seeds] == [SEED_BYTES] * 2
