"""Where guests ask: the configured listeners, and the machines' own sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulator.errors import StartError
from emulator.model.config import Limits
from emulator.runtime.sockets import Endpoint, descriptor_ceiling
from emulator.runtime.tasks import spawn
from emulator.server.delegate import Front
from emulator.server.hub import Hub
from emulator.server.listeners import Listener

# A socket that could not be had is tried again at every so many looks: each try knocks on what is
# in its place.
_PATIENCE = 6


class Doors:
    """The listeners that face guests."""

    def __init__(self, hub: Hub, limits: Limits) -> None:
        """Answer from ``hub``; nothing listens yet."""
        self._hub = hub
        self._limits = limits
        self._given: list[tuple[str, Listener]] = []
        self._machines: dict[str, Listener] = {}
        self._blocked: dict[str, str] = {}
        self._looks = 0

    def __iter__(self) -> Iterator[Listener]:
        """Give all listeners, the configured ones first."""
        return (listener for _, listener in self.named)

    @property
    def named(self) -> Iterator[tuple[str, Listener]]:
        """Give all listeners, each with its door's name, empty for an ordinary one."""
        yield from self._given
        yield from (("", listener) for listener in self._machines.values())

    def open(self, endpoints: Iterable[Endpoint], name: str = "") -> None:
        """Listen on all of ``endpoints``, which are the door ``name``; raise ``StartError``."""
        for endpoint in endpoints:
            self._given.append((name, self._listener(endpoint, f"{name}:" if name else "")))

    def follow_fleet(self) -> str:
        """Listen on the sockets of the machines that are served now, and on no others.

        Gives what is in the way, empty if nothing is. Those of machines that are gone are closed,
        with the connections that they still have.
        """
        wanted = self._hub.fleet.sockets
        for path in self._machines.keys() - wanted:
            listener = self._machines.pop(path)
            listener.stop()
            _ = spawn(listener.close(), f"closing {listener}")
        self._blocked = {path: why for path, why in self._blocked.items() if path in wanted}
        self._looks += 1
        if self._looks % _PATIENCE == 1:
            self._blocked = {}
        for path in sorted(wanted - self._machines.keys() - self._blocked.keys()):
            try:
                self._machines[path] = self._listener(Endpoint(path=path))
            except StartError as error:
                self._blocked[path] = str(error)
        return "; ".join(self._blocked.values())

    def stop(self) -> None:
        """Take no new connections."""
        for listener in self:
            listener.stop()

    async def close(self) -> None:
        """End the connections that are left."""
        for listener in self:
            await listener.close()

    def _listener(self, endpoint: Endpoint, door: str = "") -> Listener:
        front = Front(self._hub, endpoint.path, door)
        front.places.ceiling = descriptor_ceiling()
        front.places.turns = self._hub.turns_to_connect
        listener = Listener(endpoint, front, self._limits, places=front.places)
        front.socket = listener.address.path  # an inherited descriptor's is known only now
        return listener
