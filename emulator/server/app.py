"""Puts the server together, runs it until it is told to stop, and lets it end in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from emulator.dialects import VOCABULARY
from emulator.errors import ConfigError, Problem, StartError
from emulator.model.config import ServeConfig
from emulator.observe.access import AccessLog
from emulator.ports import Ports
from emulator.render import Renderer, Templates
from emulator.runtime.notify import notify
from emulator.runtime.sockets import Endpoint, inherited, parse
from emulator.runtime.state import State, default_directory
from emulator.runtime.tasks import spawn
from emulator.server.delegate import Front, Hub
from emulator.server.lastgood import LastGood
from emulator.server.listeners import Listener
from emulator.server.machine import Backing
from emulator.server.operator import Operator, Page, Readiness, check_exposure
from emulator.server.proxy import Proxies
from emulator.server.reload import Reloader, Source, watch
from emulator.tokens import Tokens

_log = logging.getLogger("imds")


class Server:
    """A metadata server, from its configuration to its end."""

    def __init__(
        self, config: ServeConfig, source: Source, environ: Mapping[str, str], ports: Ports
    ) -> None:
        """Load everything that ``config`` names; raise ``ConfigError``. Listens on nothing yet."""
        self._config = config
        self._environ = environ
        self._readiness = Readiness()
        state = State(config.state or default_directory(environ))
        self._tokens = Tokens(ports, state, config.issuer_url)
        renderer = Renderer(Templates(config.templates), ports)
        backing = Backing(renderer, self._tokens.token, state, ports)
        where = config.podinfo or config.instances
        self._reloader = Reloader(
            source,
            backing,
            sole=_sole(config),
            proxies=_proxies(config, ports),
            last_good=LastGood(state, where, VOCABULARY) if config.last_good else None,
        )
        observer = AccessLog(config.access_log) if config.access_log else None
        self.hub = Hub(self._reloader.first(), ports, observer)
        self.listeners: list[Listener] = []
        self.operator: Listener | None = None
        self._sockets: set[str] = set()

    def start(self) -> None:
        """Listen; raise ``ConfigError`` or ``StartError``. Needs the running event loop."""
        wanted = [parse(text, "--listen") for text in self._config.listen]
        wanted += inherited(self._environ, os.getpid())
        try:
            for endpoint in wanted:
                self._listen(endpoint)
            self._machine_sockets()
            self._operate()
        except (ConfigError, StartError):
            self._stop_listening()
            raise
        self._readiness.set("listeners", "")
        self._readiness.set("descriptions", self._reloader.problem)

    async def run(self, announce: Callable[[], None]) -> None:
        """Start, call ``announce``, serve until SIGTERM or SIGINT, drain."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_now)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self.start()
        watching = spawn(watch(self._config.reload_seconds, self.reload), "watching the source")
        if any(not t.file for m in self.hub.fleet.machines for t in m.instance.tokens):
            _ = spawn(self._tokens.prepare(), "preparing the issuer's key")
        announce()
        notify("READY=1", self._environ)
        await stop.wait()
        notify("STOPPING=1", self._environ)
        watching.cancel()
        await self._drain()

    def reload(self) -> None:
        """Take a changed source over, if it changed and can be served."""
        fleet = self._reloader.again(self.hub.fleet)
        self._readiness.set("descriptions", self._reloader.problem)
        if fleet is not None:
            self.hub.fleet = fleet
            self._machine_sockets()

    def _reload_now(self) -> None:
        self._reloader.forget()
        self.reload()

    def _listen(self, endpoint: Endpoint) -> None:
        front = Front(self.hub, endpoint.path)
        self.listeners.append(Listener(endpoint, front, self._config.limits))

    def _machine_sockets(self) -> None:
        """Listen on the sockets of the machines that are served now, and on no others."""
        wanted = self.hub.fleet.sockets
        for path in self._sockets - wanted:
            self._unlisten(path)
        for path in sorted(wanted - self._sockets):
            try:
                self._listen(Endpoint(path=path))
                self._sockets.add(path)
                self._readiness.set(path, "")
            except StartError as error:
                self._readiness.set(path, str(error))
                _log.error("%s", error)

    def _unlisten(self, path: str) -> None:
        """Stop listening for a machine that is gone; its guest's connections end by themselves."""
        self._sockets.remove(path)
        gone = [listener for listener in self.listeners if listener.endpoint.path == path]
        for listener in gone:
            listener.stop()
            self.listeners.remove(listener)

    def _operate(self) -> None:
        config = self._config
        if config.operator == "off":
            return
        endpoint = parse(config.operator, "--operator")
        tls = _tls(config)
        check_exposure(endpoint, tls=tls is not None)
        pages: dict[str, Page] = {
            "/healthz": self._readiness.health,
            "/readyz": self._readiness.page,
            **self._tokens.pages(),
        }
        self.operator = Listener(endpoint, Operator(pages), config.limits, tls)
        if self.operator.url and not config.issuer_url:
            # So that who follows a token's `iss` finds discovery there.
            self._tokens.issue_as(self.operator.url)

    async def _drain(self) -> None:
        """Take nothing new, let what is under way finish for a while, end the rest."""
        self._stop_listening()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.hub.quiet(), self._config.limits.drain_seconds)
        for listener in self.listeners:
            await listener.close()
        if self.operator is not None:
            await self.operator.close()

    def _stop_listening(self) -> None:
        for listener in self.listeners:
            listener.stop()
        if self.operator is not None:
            self.operator.stop()


def _sole(config: ServeConfig) -> bool:
    """Say whether one machine is described, whoever asks: all sources but a folder do so."""
    return bool(config.podinfo) or not config.instances or not Path(config.instances).is_dir()


def _proxies(config: ServeConfig, ports: Ports) -> Proxies:
    if not config.proxies:
        return Proxies(frozenset(), b"")
    secret = b""
    with suppress(OSError):
        secret = ports.read(config.proxy_secret_file).strip()
    if not secret:
        found = config.proxy_secret_file or "nothing"
        allowed = "a readable file with the secret that the proxies sign with"
        raise ConfigError(Problem("command line", 0, "--proxy-secret-file", found, allowed))
    return Proxies(frozenset(config.proxies), secret)


def _tls(config: ServeConfig) -> ssl.SSLContext | None:
    if not config.operator_cert and not config.operator_key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.operator_cert, config.operator_key or None)
    except (OSError, ssl.SSLError) as error:
        found = f"{config.operator_cert}, {config.operator_key}: {error}"
        allowed = "a PEM certificate chain and its key"
        raise ConfigError(Problem("command line", 0, "--operator-cert", found, allowed)) from error
    return context
