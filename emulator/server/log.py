"""What the server says of itself: one line of JSON for each event, on standard error."""

from __future__ import annotations

import logging
from contextlib import suppress

import msgspec

LEVELS = ("debug", "info", "warning", "error", "off")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Give the record as a JSON object without anything but what was said."""
        line = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(level: str) -> None:
    """Send records of ``level`` and above to standard error; ``off`` sends none."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.CRITICAL + 1 if level == "off" else level.upper())
    # Tornado reports each malformed request, which any guest can send at will.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)


MALFORMED = ("body-too-long", "head-too-long", "not-http", "slow-body", "slow-head")
"""Why a connection is ended on which no whole request came."""

TOO_MANY_LINES = "too many header lines"
TOO_MANY_CHUNKS = "too many bodies in chunks"

# In Tornado's words, and in ours.
_ENDINGS = {"Malformed HTTP message": "not-http", "Timeout reading body": "slow-body"}
_REASONS = {
    "Content-Length too long": "body-too-long",
    "chunked body too large": "body-too-long",
    TOO_MANY_CHUNKS: "body-too-long",
    TOO_MANY_LINES: "head-too-long",
}


class _Noting(logging.Filter):
    """Leaves on a connection why Tornado ended it, which it tells nobody but its log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what any guest can have it say out of the log."""
        kind = record.msg.partition(" from %s")[0]
        if kind in _ENDINGS and isinstance(record.args, tuple):
            context, *errors = record.args
            reason = _REASONS.get(str(errors[0])) if errors else None
            # A client has nothing that it could be noted on.
            with suppress(AttributeError):
                context.ended = reason or _ENDINGS[kind]  # type: ignore[attr-defined]
        return record.levelno >= logging.ERROR


_noting = _Noting()


def note_endings() -> None:
    """Have the attribute ``ended`` of a connection's context say why Tornado ended it."""
    general = logging.getLogger("tornado.general")
    general.setLevel(logging.INFO)
    general.addFilter(_noting)
