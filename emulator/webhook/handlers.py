"""What is answered at which path."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from emulator.ports import Ports
from emulator.webhook import review
from emulator.webhook.decide import Decision, mutate, validate
from emulator.webhook.journal import Journal, decision
from emulator.webhook.settings import Settings
from emulator.webhook.tls import Certificate

_log = logging.getLogger("imds")

_PATHS: Mapping[str, Decision] = {"/mutate": mutate, "/validate": validate}

MAX_BODY = 3 << 20
"""Bytes of a review: the API server takes no larger request itself."""
MAX_HELD = 8 * MAX_BODY
"""Bytes of all that have begun to arrive: whoever is in the cluster can send some.

Beyond it the largest is put off. The API server's are small: nobody can keep them out so.
"""

_BUSY = "503 too much at once; ask again\n"


class Service:
    """What all requests share.

    ``busy`` are those that have begun, ``held`` is how many bytes of them have arrived.
    """

    def __init__(
        self, settings: Settings, certificate: Certificate, journal: Journal, ports: Ports
    ) -> None:
        """Decide by ``settings``."""
        self.settings = settings
        self.certificate = certificate
        self.journal = journal
        self.ports = ports
        self.stopping = False
        self.busy: set[_Review] = set()
        self.held = 0

    def take(self, size: int) -> None:
        """Count bytes that have arrived."""
        self.held += size
        if self.held > MAX_HELD:
            max(self.busy, key=lambda one: len(one.body)).put_off()

    def decide(self, body: bytes, path: str) -> bytes:
        """Give the answer to the review in ``body``; raise ``Unreadable``."""
        begun = self.ports.monotonic()
        try:
            request = review.read(body)
            verdict = _PATHS[path](request, self.settings)
            answer = review.write(request, verdict)
        except RecursionError:
            raise review.Unreadable("the JSON is nested too deeply") from None
        took = self.ports.monotonic() - begun
        self.journal(decision(request, verdict, path, self.ports.wall(), took))
        return answer

    def problems(self) -> dict[str, str]:
        """Say what is wrong though reviews are answered."""
        problem = self.certificate.problem
        return {"certificate": problem} if problem else {}


def application(service: Service) -> Application:
    """Give the paths and their handlers."""
    return Application(
        [
            *((path, _Review) for path in _PATHS),
            ("/healthz", _Health),
            ("/readyz", _Readiness),
        ],
        default_handler_class=_Page,
        log_function=_unlogged,
        service=service,
    )


def _unlogged(_handler: RequestHandler) -> None:
    """Decisions are in the journal; probes are nobody's business."""


@stream_request_body
class _Page(RequestHandler):
    """What all answers have in common; by itself, that nothing is there."""

    allow = ""

    @property
    def service(self) -> Service:
        """What all requests share."""
        found: Service = self.settings["service"]
        return found

    def set_default_headers(self) -> None:
        """Say no more than needed (called by Tornado)."""
        self.set_header("Server", "imds-emulator")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        if self.service.stopping:
            self.set_header("Connection", "close")

    def prepare(self) -> None:
        """Refuse a path that is not there (called by Tornado)."""
        if not self.allow:
            raise HTTPError(404, "ask /mutate, /validate, /healthz or /readyz")
        if self.request.method not in self.allow.split(", "):
            raise HTTPError(405)

    def data_received(self, chunk: bytes) -> None:
        """Keep nothing of a body that nobody wants (called by Tornado)."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401 - Tornado's
        """Answer with one line (called by Tornado)."""
        error = kwargs.get("exc_info", (None, None))[1]
        said = error.log_message if isinstance(error, HTTPError) else ""
        if status_code == 405:  # noqa: PLR2004
            self.set_header("Allow", self.allow)
        _ = self.finish(f"{status_code} {said or self._reason}\n")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what nobody expected, without its words: they may be a VM owner's."""
        if typ is not None and not isinstance(value, HTTPError):
            where = "".join(traceback.format_tb(tb))
            _log.error("%s on %s:\n%s", typ.__name__, self.request.path, where)


class _Review(_Page):
    """An AdmissionReview is decided on."""

    allow = "POST"

    def initialize(self) -> None:
        """Start with nothing of it (called by Tornado)."""
        self.body = bytearray()

    def prepare(self) -> None:
        """Begin to take it (called by Tornado)."""
        super().prepare()
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPError(415, "send application/json")
        self.service.busy.add(self)

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of it (called by Tornado)."""
        self.body += chunk
        self.service.take(len(chunk))

    def put_off(self) -> None:
        """Answer before it is all there."""
        self.set_status(503)
        _ = self.finish(_BUSY)

    def post(self) -> None:
        """Answer it."""
        try:
            answer = self.service.decide(bytes(self.body), self.request.path)
        except review.Unreadable as error:
            self.set_status(400)
            _ = self.finish(f"400 {error}\n")
            return
        self.set_header("Content-Type", "application/json")
        _ = self.finish(answer)

    def on_finish(self) -> None:
        """Let go of it (called by Tornado)."""
        if self in self.service.busy:
            self.service.busy.remove(self)
            self.service.held -= len(self.body)
            self.body.clear()

    def on_connection_close(self) -> None:
        """Let go of one that never ended (called by Tornado)."""
        self.on_finish()


class _Health(_Page):
    """The process answers."""

    allow = "GET, HEAD"

    def get(self) -> None:
        """Say so."""
        _ = self.finish("OK\n")

    head = get


class _Readiness(_Page):
    """It answers reviews, and will go on to."""

    allow = "GET, HEAD"

    def get(self) -> None:
        """Say so, and what is wrong all the same.

        A certificate that could not be taken over is none of the reasons not to be ready: the
        replicas have the same files, and all of them would be taken out of service at once.
        """
        stopping = self.service.stopping
        document = {"ready": not stopping, "problems": self.service.problems()}
        self.set_status(503 if stopping else 200)
        self.set_header("Content-Type", "application/json")
        _ = self.finish(msgspec.json.encode(document) + b"\n")

    head = get
