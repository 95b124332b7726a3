"""Whatever is imported in the image is there: the standard library is not there as a whole."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator

import pytest

from tests.image.engine import Engine
from tests.image.made import ROOT

pytestmark = [pytest.mark.client, pytest.mark.namespace]

OURS = ROOT / "emulator"
# Not in the wheel.
LEFT_OUT = (OURS / "setup", OURS / "render/wheel.py")
# Of extras that the image goes without.
EXTRAS = ("botocore", "opentelemetry")

# What others ask for and bear the lack of.
DONE_WITHOUT = {
    "curses",  # tornado.log: colours, on a terminal
    "distutils",  # cffi, where it compiles
    "doctest",  # tornado's own tests
}

IMPORT_ALL = """
import importlib, json, sys
for module, name in json.loads(sys.argv[1]):
    found = importlib.import_module(module)
    if name and name != "*" and not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")
"""
FIND_LACKING = """
import dis, importlib.util, json, marshal, pathlib, sys, types
site = next(pathlib.Path("/opt/imds-emulator/lib").glob("*/site-packages"))
def imported(code):
    steps = list(dis.get_instructions(code))
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME" and steps[number - 2].argval == 0:
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from imported(constant)
lacking = set()
for file in site.rglob("*.pyc"):
    for name in imported(marshal.loads(file.read_bytes()[16:])):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names and importlib.util.find_spec(top) is None:
            lacking.add(top)
json.dump(sorted(lacking), sys.stdout)
"""


def test_every_import_of_ours_succeeds(engine: Engine, image: str) -> None:
    """Those inside of functions too."""
    wanted = sorted(set(imports()))
    assert ("tornado.httpserver", "HTTPServer") in wanted
    engine.python(image, IMPORT_ALL, json.dumps(wanted))


def test_what_others_import_is_there_or_known_to_be_done_without(
    engine: Engine, image: str
) -> None:
    lacking = json.loads(engine.python(image, FIND_LACKING))
    assert "curses" in lacking  # it finds what is lacking at all
    assert set(lacking) <= DONE_WITHOUT


def imports() -> Iterator[tuple[str, str]]:
    """Give each module that our own code imports, and what from it."""
    for file in OURS.rglob("*.py"):
        if not any(file.is_relative_to(left_out) for left_out in LEFT_OUT):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    found = [(alias.name, "") for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    assert node.module
                    found = [(node.module, alias.name) for alias in node.names]
                else:
                    continue
                yield from (pair for pair in found if not pair[0].startswith(EXTRAS))
