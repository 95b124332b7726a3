"""``imds-emulator image``: build, fetch and list disk images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emulator.boot.images.build import build, export
from emulator.boot.images.cache import Cache, Image, cache_folder
from emulator.boot.images.find import cached
from emulator.boot.images.official import official
from emulator.boot.images.progress import Bar
from emulator.boot.images.pull import pull, resolve
from emulator.boot.images.recipes import RECIPES
from emulator.boot.processes import interruptible
from emulator.errors import ImageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their flags."""
    parser.add_argument(
        "--cache", type=Path, default=None, help="folder of images (default: below XDG_CACHE_HOME)"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser("build", help="make a stock-like image from Debian's packages")
    action.add_argument(
        "name",
        choices=sorted(RECIPES),
        help="which image (debian-12 is booted by our tests, debian-13 by hand only)",
    )
    action.add_argument("--output", type=Path, metavar="FILE", help="copy the disk (qcow2) here")
    action.add_argument(
        "--mirror", default="", metavar="URL", help="Debian mirror to install from"
    )
    action = actions.add_parser("pull", help="fetch an official image, or one by URL")
    action.add_argument("source", metavar="NAME|URL", help="see `image list` for names")
    action.add_argument("--sha256", default="", help="its checksum; required for a URL")
    actions.add_parser("list", help="show the images that are here and those that can be had")
    action = actions.add_parser("path", help="print the path of an image's disk")
    action.add_argument("name", help="an image that is here")


def run(options: argparse.Namespace) -> int:
    """Carry out the chosen action; raises ImageError."""
    with interruptible():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    cache = Cache(options.cache or cache_folder())
    match options.action:
        case "build":
            image = build(RECIPES[options.name], cache, _say, options.mirror)
            if options.output:
                export(image, options.output)
            print(options.output or image.disk)
        case "pull":
            with Bar(sys.stderr) as bar:
                image = pull(resolve(options.source, options.sha256), cache, bar.show)
            print(image.disk)
        case "path":
            print(_here(options.name, cache).disk)
        case _:
            _list(cache)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _here(name: str, cache: Cache) -> Image:
    image = cached(name, cache)
    if image is None:
        raise ImageError(f"{name} is not here; `imds-emulator image list` shows what is")
    return image


def _list(cache: Cache) -> None:
    here = cache.all()
    for image in here:
        print(f"{image.name:24} here      {image.disk}")
    names = {image.name for image in here}
    for name in sorted(set(RECIPES) - names):
        print(f"{name:24} build     imds-emulator image build {name}")
    for name in sorted(set(official()) - names):
        print(f"{name:24} pull      {official()[name].url}")
