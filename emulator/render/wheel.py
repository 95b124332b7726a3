"""Hatch build hook: what the wheel carries beside Python modules.

That is the checkout's ``templates/``, as they are and compiled to Python, and the sample instance
that ``serve`` falls back on. Compiling forty templates from source takes over a second at start;
importing them, milliseconds. An editable install reads its checkout and needs none of this.

Hatchling runs this file by its path while it builds, outside the package and before anything is
installed; the wheel itself leaves it out. The environment that compiles is the product's own, so
what a template may do is decided in one place.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from jinja2 import FileSystemLoader

COPIED = {
    "templates": "emulator/_templates/source",
    "fixtures/instances/sample.yaml": "emulator/_data/sample.yaml",
}
COMPILED = "emulator/_templates/compiled"


class DataFiles(BuildHookInterface[BuilderConfig]):
    """Adds the data files to the wheel."""

    _compiled: tempfile.TemporaryDirectory[str] | None = None  # goes away with the build

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to carry, and make those that have to be made."""
        if version == "editable":
            return
        self._compiled = tempfile.TemporaryDirectory()
        compile_templates(Path(self.root), Path(self._compiled.name))
        build_data["force_include"].update(
            {str(Path(self.root, source)): target for source, target in COPIED.items()}
        )
        build_data["force_include"][self._compiled.name] = COMPILED


def compile_templates(root: Path, target: Path) -> None:
    """Write one Python module for each file in the checkout's ``templates/``."""
    sys.path.insert(0, str(root))
    try:
        from emulator.render.environment import make_environment  # noqa: PLC0415 - needs the path
    finally:
        sys.path.remove(str(root))
    environment = make_environment(FileSystemLoader(root / "templates"))
    environment.compile_templates(target, zip=None, ignore_errors=False)
