"""``imds-emulator schema``: what a description may hold, for editors and for people."""

from __future__ import annotations

import argparse

import msgspec

from emulator.dialects import VOCABULARY


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--reference",
        action="store_true",
        help="print the reference page (Markdown) instead: docs/instance.md",
    )
    parser.add_argument(
        "--annotations",
        action="store_true",
        help="print the reference page of a pod's annotations instead: docs/annotations.md",
    )


def run(options: argparse.Namespace) -> int:
    """Print the JSON Schema, or a reference page."""
    if options.annotations:
        print(annotation_page(), end="")
    else:
        print(page() if options.reference else text(), end="")
    return 0


def text() -> str:
    """Give the JSON Schema, indented for people."""
    # Imported here: the server shares this package, and never makes a schema.
    from emulator.model.schema import schema  # noqa: PLC0415

    encoded = msgspec.json.encode(schema(VOCABULARY))
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def page() -> str:
    """Give the reference page of the description."""
    from emulator.model.reference import reference  # noqa: PLC0415

    return reference(VOCABULARY)


def annotation_page() -> str:
    """Give the reference page of the annotations."""
    from emulator.sources.reference import reference  # noqa: PLC0415

    return reference(VOCABULARY)
