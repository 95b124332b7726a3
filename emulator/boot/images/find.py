"""From what a user types to a disk: a path, or the name of an image."""

from __future__ import annotations

import os
from pathlib import Path

from emulator.boot.images.build import Say, build
from emulator.boot.images.cache import Cache, Image
from emulator.boot.images.official import official
from emulator.boot.images.recipes import RECIPES
from emulator.errors import ImageError


def cached(name: str, cache: Cache) -> Image | None:
    """Give the image called ``name`` if the cache has it: a built one only of today's recipe."""
    if name in RECIPES:
        return cache.find(f"{name}-{RECIPES[name].key}")
    found = [image for image in cache.all() if image.name == name]
    # Of several pulled ones the newest: publishers replace images under the same name.
    return max(found, key=lambda image: Path(image.disk).stat().st_mtime, default=None)


def find(name: str, cache: Cache, say: Say | None) -> Image:
    """Give the image for a path or name; a buildable one that is missing is built.

    Without ``say``, for what must be quick, nothing is built. Raises ImageError,
    saying how to come by the image.
    """
    if os.sep in name or Path(name).exists():
        return Image(name=Path(name).stem, disk=name, origin=name)
    image = cached(name, cache)
    if image is not None:
        return image
    if name in RECIPES and say is not None:
        return build(RECIPES[name], cache, say)
    if name in RECIPES:
        raise ImageError(f"{name} is not here yet: imds-emulator image build {name}")
    if name in official():
        raise ImageError(f"{name} is not here yet: imds-emulator image pull {name}")
    names = ", ".join(sorted({*RECIPES, *official(), *(image.name for image in cache.all())}))
    raise ImageError(f"{name}: no such file, and no image of that name; known names: {names}")
