"""What ends a set-up early, with words for the person who started it."""

from __future__ import annotations


class SetupError(Exception):
    """Something that only the user can mend; the message says how. Exit code 3."""
