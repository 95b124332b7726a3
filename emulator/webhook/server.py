"""Answers the API server over HTTPS, until told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

from tornado.httpserver import HTTPServer

from emulator.runtime.notify import notify
from emulator.runtime.sockets import Endpoint, bound, listen
from emulator.runtime.tasks import spawn
from emulator.webhook.handlers import MAX_BODY, Service, application

_HEADER_BYTES = 16 << 10
_BODY_SECONDS = 10.0
_IDLE_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_DRAIN_SECONDS = 10.0


class Webhook:
    """The admission webhooks of a cluster, on one port."""

    def __init__(self, service: Service) -> None:
        """Serve ``service``; listens on nothing yet."""
        self._service = service
        self._server = HTTPServer(
            application(service),
            ssl_options=service.certificate.context,
            max_body_size=MAX_BODY,
            max_header_size=_HEADER_BYTES,
            body_timeout=_BODY_SECONDS,
            idle_connection_timeout=_IDLE_SECONDS,
        )

    def start(self, endpoint: Endpoint) -> Endpoint:
        """Listen, and say where; raise ``StartError``. Needs the running event loop."""
        made = listen(endpoint)
        self._server.add_socket(made)
        return bound(made)

    async def run(
        self,
        endpoint: Endpoint,
        environ: Mapping[str, str],
        announce: Callable[[Endpoint], None],
    ) -> None:
        """Start, call ``announce``, answer until SIGTERM or SIGINT, drain."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        announce(self.start(endpoint))
        watching = spawn(self._watch(), "watching the certificate")
        notify("READY=1", environ)
        await stop.wait()
        notify("STOPPING=1", environ)
        watching.cancel()
        await self._drain()

    async def _watch(self) -> None:
        """Show new connections the certificate that is in the files, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if await asyncio.to_thread(self._service.certificate.renew):
                self._server.ssl_options = self._service.certificate.context

    async def _drain(self) -> None:
        """Take nothing new, let what is under way be answered for a while, end the rest."""
        self._service.stopping = True
        self._server.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._quiet(), _DRAIN_SECONDS)
        await self._server.close_all_connections()

    async def _quiet(self) -> None:
        while self._service.busy:  # noqa: ASYNC110 - looked at only at the end
            await asyncio.sleep(0.01)
