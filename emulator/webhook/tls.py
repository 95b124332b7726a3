"""The certificate that the API server is shown, taken anew when its files change."""

from __future__ import annotations

import logging
import ssl

from emulator.errors import ConfigError, Problem
from emulator.sources.files import State, state

_log = logging.getLogger("imds")

_ALLOWED = "a PEM certificate chain and its unencrypted key"


class Certificate:
    """A certificate and its key in two files, which may be replaced at any time.

    ``context`` is for new connections. ``problem`` says what is wrong with the files now, while
    what they held before is still shown.
    """

    def __init__(self, certificate: str, key: str) -> None:
        """Read both; raise ``ConfigError`` if they cannot be used."""
        self._paths = (certificate, key)
        self._seen = self._states()
        self.problem = ""
        self.context = self._load()

    def renew(self) -> bool:
        """Read both if either changed; say whether there is another ``context`` now."""
        # Looked at first: what changes while they are read shows the next time.
        seen = self._states()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.context = self._load()
        except ConfigError as error:
            self.problem = str(error)
            _log.error("the last good certificate stays in service: %s", error)
            return False
        self.problem = ""
        _log.info("took over another certificate")
        return True

    def _states(self) -> list[State]:
        return [state(path) for path in self._paths]

    def _load(self) -> ssl.SSLContext:
        # Never into the old one: a broken pair would leave it half-changed.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An encrypted key must not make OpenSSL ask the terminal.
            context.load_cert_chain(*self._paths, password=lambda: "")
        except (OSError, ValueError) as error:
            found = f"{', '.join(self._paths)}: {error}"
            raise ConfigError(Problem("command line", 0, "--cert", found, _ALLOWED)) from error
        return context
