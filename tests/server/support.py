"""Machines and fleets made from a few lines of YAML, without a running server."""

from __future__ import annotations

from pathlib import Path

from emulator import sources
from emulator.core.message import ServiceToken
from emulator.dialects import VOCABULARY
from emulator.model.instance import Instance
from emulator.render import Renderer, Templates
from emulator.render.sealed import unsigned
from emulator.runtime.session_key import SessionKey
from emulator.runtime.state import State
from emulator.server.backing import backing
from emulator.server.machine import Machine
from emulator.tokens import Tokens
from tests.support.ports import FakePorts


def instance(folder: Path, text: str) -> Instance:
    """Read the description ``text``."""
    path = folder / "described.yaml"
    path.write_text(text)
    return sources.load(str(path), VOCABULARY)[0]


class Bench:
    """What machines need, with a fake clock and one fixed token."""

    def __init__(self, folder: Path, templates: str = "") -> None:
        self.folder = folder
        self.fake = FakePorts()
        self.state = State(str(folder / "state"))
        ports = self.fake.ports
        renderer = Renderer(Templates(templates), ports)
        key = SessionKey(ports, self.state)
        tokens = Tokens(ports, self.state)
        self.backing = backing(ports, self.state, tokens, renderer, key, seal=unsigned)
        self.backing.tokens = self.token

    async def token(self, _instance: Instance, audience: str) -> ServiceToken | None:
        """Offer one token, for the default audience."""
        return None if audience else ServiceToken("t.o.ken", None)

    def machine(self, text: str) -> Machine:
        """Make the machine that ``text`` describes."""
        return Machine(instance(self.folder, text), self.backing)
