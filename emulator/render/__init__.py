"""From a dialect and an instance to prebuilt answers."""

from __future__ import annotations

from emulator.render.renderer import Parts, Renderer
from emulator.render.templates import Templates

__all__ = ["Parts", "Renderer", "Templates"]
