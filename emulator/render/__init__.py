"""From a dialect and an instance to prebuilt answers."""

from __future__ import annotations

from emulator.render.renderer import Renderer
from emulator.render.templates import Templates

__all__ = ["Renderer", "Templates"]
