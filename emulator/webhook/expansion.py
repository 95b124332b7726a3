"""Looks at user data that the sidecar is to expand. Nothing is expanded here: it may take long."""

from __future__ import annotations

from emulator.model.instance import Content

LONGEST = 16 << 10
"""Bytes that are looked at: a compiler's work for anybody. Longer ones the sidecar judges."""


def mistake(content: Content | None) -> str:
    """Say what is wrong with ``content`` as a template, in no word of its own; empty if nothing.

    A name that nothing has is not seen: that takes expanding.
    """
    if content is None or not content.template or len(content.data) > LONGEST:
        return ""
    # Few have templates.
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415

    from emulator.render.environment import make_environment  # noqa: PLC0415

    try:
        make_environment().compile(content.data.decode(), raw=True)
    except UnicodeDecodeError:
        return "bytes that are no text"
    except TemplateSyntaxError as error:
        return f"a template error in line {error.lineno}"
    except RecursionError:
        return "a template that is nested too deeply"
    return ""
