"""An STS on loopback: moto's, with what can go wrong in front of it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

DENIED = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>Not authorized with {token}</Message></Error>
<RequestId>4d5c1b8e</RequestId></ErrorResponse>"""

EMPTY = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>"""

Answer = tuple[str, str]


class Sts:
    """A server that counts what it is asked, and answers with ``says`` in moto's place if set.

    ``asked`` holds the form fields of each request, ``gate`` holds answers back while it is
    clear.
    """

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.asked: list[dict[str, str]] = []
        self.says: Answer | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._certificate = certificate
        self._port = 0
        self.start()

    def start(self) -> None:
        """Listen, at the same port as before."""
        context = None
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, ssl_context=context
        )
        self._port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be gone: connections are refused."""
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    def deny(self, code: str) -> None:
        """Refuse from now on, repeating the token as a bad server might."""
        self.says = ("403 Forbidden", DENIED.replace("{code}", code))

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.asked.append(fields | {"Authorization": environ.get("HTTP_AUTHORIZATION", "")})
        self.gate.wait(20)
        if self.says is None:
            environ["wsgi.input"] = BytesIO(body)
            answer: Iterable[bytes] = self._moto(environ, start_response)
            return answer
        status, text = self.says
        data = text.replace("{token}", fields["WebIdentityToken"]).encode()
        start_response(status, [("Content-Type", "text/xml"), ("Content-Length", str(len(data)))])
        return [data]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
