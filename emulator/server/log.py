"""What the server says of itself: one line of JSON for each event, on standard error."""

from __future__ import annotations

import logging

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
