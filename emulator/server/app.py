"""Puts the server together, runs it until it is told to stop, and lets it end in order."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emulator.core.message import Reply
from emulator.core.policy import Hosts
from emulator.dialects import DOORS, HOSTS, VOCABULARY, gives_tokens
from emulator.errors import ConfigError, Problem, StartError
from emulator.model.config import DEFAULT_LISTEN, ServeConfig
from emulator.ports import Ports
from emulator.render import Renderer, Templates
from emulator.runtime import session_key
from emulator.runtime.notify import notify
from emulator.runtime.session_key import SessionKey
from emulator.runtime.sockets import (
    SPARE_DESCRIPTORS,
    Endpoint,
    allow_descriptors,
    inherited,
    parse,
)
from emulator.runtime.state import State, default_directory
from emulator.runtime.tasks import spawn
from emulator.server.backing import backing
from emulator.server.doors import Doors
from emulator.server.fleet import plain
from emulator.server.hub import Hub
from emulator.server.lastgood import LastGood
from emulator.server.listeners import Listener
from emulator.server.operator import Operator, Page, Readiness, check_exposure
from emulator.server.proxy import Proxies
from emulator.server.recording import Recording
from emulator.server.reload import Reloader, Source
from emulator.signing import Signer
from emulator.tokens import Tokens

if TYPE_CHECKING:
    from emulator.server.imdsv2 import Migration

_log = logging.getLogger("imds")

_NAMED = 5

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


class Server:
    """A metadata server, from its configuration to its end."""

    def __init__(
        self, config: ServeConfig, source: Source, environ: Mapping[str, str], ports: Ports
    ) -> None:
        """Load everything that ``config`` names; raise ``ConfigError``. Listens on nothing yet."""
        self._config = config
        self._environ = environ
        self._ports = ports
        self._readiness = Readiness()
        self._again = asyncio.Event()
        state = State(config.state or default_directory(environ))
        self._recording = Recording(config, ports)
        metrics = self._recording.metrics
        self._tokens = Tokens(ports, state, config.issuer_url, metrics.used)
        given = (config.identity_cert, config.identity_key)
        self._signer = Signer(ports, state, *given, pod=bool(config.podinfo))
        # Now, not when a guest asks: a mistake stops the start.
        self._signer.check()
        key = session_key.read(ports, config.session_key) if config.session_key else b""
        self._backing = backing(
            ports,
            state,
            self._tokens,
            self._renderer(),
            SessionKey(ports, state, key),
            seal=self._signer.seal,
            issuer=config.issuer_url,
            processes=config.allow_credential_process,
            told=metrics,
        )
        self._migration = self._migrating(source, state)
        if self._migration is not None:
            source = self._migration.source
        where = str(Path(config.podinfo or config.instances).absolute())
        self._reloader = Reloader(
            source,
            self._backing,
            sole=_sole(config),
            proxies=_proxies(config, ports),
            last_good=LastGood(state, where, VOCABULARY) if config.last_good else None,
        )
        anyone = self._backing.renderer.anyone()
        observers = self._recording.observers
        self.hub = Hub(self._reloader.first(), ports, observers, anyone, config.limits)
        if self._migration is not None:
            self._migration.adopt()
        self.hub.hosts = Hosts((*HOSTS, *map(_host, config.hosts)))
        self.doors = Doors(self.hub, config.limits)
        self.operator: Listener | None = None

    def start(self) -> None:
        """Listen; raise ``ConfigError`` or ``StartError``. Needs the running event loop."""
        limits = self._config.limits
        allow_descriptors(2 * limits.connections + limits.waiting + SPARE_DESCRIPTORS)
        given = inherited(self._environ, os.getpid())
        listen = self._config.listen or (() if given else (DEFAULT_LISTEN,))
        try:
            self.doors.open([*(parse(text, "--listen") for text in listen), *given])
            for text in self._config.doors:
                name, endpoint = _door(text)
                self.doors.open([endpoint], name)
            self._operate()
        except (ConfigError, StartError):
            self._stop_listening()
            raise
        self._readiness.set("sockets", self.doors.follow_fleet())
        self._readiness.set("descriptions", self._reloader.problem)
        self._readiness.set("listeners", "")
        if any(door.address.path for door in self.doors):
            self._name_unlimited()

    def _name_unlimited(self) -> None:
        """Say whose hop limits cannot act: a unix socket has no hops."""
        names = [m.instance.name for m in self.hub.fleet.machines if gives_tokens(m.instance)]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            who = ", ".join(names[:_NAMED]) + more
            _log.warning("hop limits do not act on unix sockets, nor behind one: %s", who)

    async def run(self, announce: Callable[[], None]) -> None:
        """Start, call ``announce``, serve until SIGTERM or SIGINT, drain."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # Who became this server may have held them back, so that none is lost before this.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        self.start()
        watching = spawn(self._watch(), "watching the source")
        if any(not t.file for m in self.hub.fleet.machines for t in m.instance.tokens):
            _ = spawn(self._prepare(), "preparing the issuer's key")
        announce()
        notify("READY=1", self._environ)
        await stop.wait()
        notify("STOPPING=1", self._environ)
        watching.cancel()
        await self._drain()

    async def _watch(self) -> None:
        """Take changes over, for ever; reading and rendering keep no guest waiting."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), self._config.reload_seconds)
            self._again.clear()
            self.hub.tick()
            try:
                await self._take_over()
            except Exception as error:  # noqa: BLE001 - nobody would miss who watches no more
                _log.exception("a change was not taken over")
                self._readiness.set("watching", repr(error))
            else:
                self._readiness.set("watching", "")

    async def _take_over(self) -> None:
        if await asyncio.to_thread(self._signer.refresh):
            # What was signed is signed anew, and what can be attested may be another.
            self._reloader.forget()
        self._readiness.set("identity", self._signer.problem)
        if self._migration is not None:
            await self._migration.tick()
        fleet = await asyncio.to_thread(self._reloader.again, self.hub.fleet)
        if fleet is not None:
            self.hub.take(fleet)
        if self._migration is not None:
            self._migration.settle(self._readiness, taken=fleet is not None)
        self._readiness.set("descriptions", self._reloader.problem)
        self._readiness.set("sockets", self.doors.follow_fleet())

    def _hang_up(self) -> None:
        """Read everything anew, templates too, and go on in the log file that is there now."""
        self._attempt("audit log", self._recording.reopen)
        self._attempt("templates", self._renew)
        self._again.set()

    def _renew(self) -> None:
        renderer = self._renderer()
        self.hub.anyone = renderer.anyone()
        self._backing.renderer = renderer
        self._reloader.forget()

    def _attempt(self, cause: str, action: Callable[[], None]) -> None:
        """Do what may fail without harm; ``/readyz`` says if it did."""
        try:
            action()
        except (ConfigError, StartError) as error:
            _log.error("%s", error)
            self._readiness.set(cause, str(error))
        else:
            self._readiness.set(cause, "")

    def _renderer(self) -> Renderer:
        signer = self._signer
        templates = Templates(self._config.templates)
        return Renderer(templates, self._ports, signer.seal, signer.attests)

    async def _prepare(self) -> None:
        try:
            await self._tokens.prepare()
        except StartError as error:
            self._readiness.set("issuer", str(error))
            _log.error("%s", error)

    def _operate(self) -> None:
        config = self._config
        if config.operator == "off":
            return
        endpoint = parse(config.operator, "--operator")
        tls = _tls(config)
        pages: dict[str, Page] = {
            "/healthz": self._readiness.health,
            "/readyz": self._readiness.page,
            "/guests": self._guests,
            "/metrics": self._scraped,
            "/imdsv2": self._sessionless,
            **self._tokens.pages(),
        }
        issuer = urlsplit(config.issuer_url).hostname
        hosts = Hosts((*map(_host, config.hosts), *((issuer,) if issuer else ())))
        self.operator = Listener(endpoint, Operator(pages, hosts), config.limits, tls)
        check_exposure(self.operator.address, tls=tls is not None)
        if self.operator.url and not config.issuer_url:
            # So that who follows a token's `iss` finds discovery there.
            self._tokens.issue_as(self.operator.url)

    def _migrating(self, source: Source, state: State) -> Migration | None:
        if not self._config.imdsv2:
            return None
        from emulator.server.imdsv2 import Migration  # noqa: PLC0415  few fleets are moved

        return Migration(self._config.imdsv2, source, self._recording, state, self._ports)

    def _guests(self) -> Reply:
        from emulator.server import guests  # noqa: PLC0415  few operators ask

        return guests.page(self.hub.fleet.machines)

    def _scraped(self) -> Awaitable[Reply]:
        from emulator.server import scrape  # noqa: PLC0415  not every server is scraped

        parts = (self.hub, self.doors, self._reloader, self._readiness)
        return scrape.page(self._recording, *parts)

    def _sessionless(self) -> Reply:
        from emulator.server import sessionless  # noqa: PLC0415  as above

        instances = [machine.instance for machine in self.hub.fleet.machines]
        served = {(instance.namespace, instance.name) for instance in instances}
        return sessionless.page(self._recording, served)

    async def _drain(self) -> None:
        """Take nothing new, let what is under way finish for a while, end the rest."""
        self._stop_listening()
        self.hub.fleet.release()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._finished(), self._config.limits.drain_seconds)
        await self.doors.close()
        if self.operator is not None:
            await self.operator.close()
        self._recording.close()

    async def _finished(self) -> None:
        await self.hub.quiet()
        while any(door.sending for door in self.doors):  # noqa: ASYNC110 - no stream tells when
            await asyncio.sleep(0.01)

    def _stop_listening(self) -> None:
        self.doors.stop()
        if self.operator is not None:
            self.operator.stop()


def _sole(config: ServeConfig) -> bool:
    """Say whether one machine is described, whoever asks: all sources but a folder do so."""
    return bool(config.podinfo) or not config.instances or not Path(config.instances).is_dir()


def _door(text: str) -> tuple[str, Endpoint]:
    name, given, where = text.partition("=")
    if name not in DOORS or not given:
        allowed = f"NAME=PLACE with a name among {', '.join(DOORS)}"
        raise ConfigError(Problem("command line", 0, "--door", f'"{text}"', allowed))
    return name, parse(where, "--door")


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
    return Proxies(frozenset(map(_address, config.proxies)), secret)


def _host(text: str) -> str:
    if _HOST_NAME.fullmatch(text):
        return text.lower().removesuffix(".")
    raise ConfigError(Problem("command line", 0, "--host", f'"{text}"', "a name without a port"))


def _address(text: str) -> str:
    try:
        return plain(str(ipaddress.ip_address(text)))
    except ValueError:
        problem = Problem("command line", 0, "--proxy", f'"{text}"', "an IPv4 or IPv6 address")
        raise ConfigError(problem) from None


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
