"""The wheel does by itself what the checkout does: templates compiled, the sample on board."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from jinja2 import ModuleLoader

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.j2"))

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an environment with the wheel, and our dependencies but not our checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # A .pth file adds a folder, but not what .pth files in that folder add: no editable install.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(installed: Path, *arguments: str) -> str:
    command = [str(installed / "bin/imds-emulator"), *arguments]
    done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_template_is_there_twice(content: set[str]) -> None:
    assert TEMPLATES
    for template in TEMPLATES:
        name = template.relative_to(ROOT / "templates").as_posix()
        assert f"emulator/_templates/source/{name}" in content
        module = ModuleLoader.get_module_filename(name)
        assert f"emulator/_templates/compiled/{module}" in content


def test_what_serves_a_checkout_is_left_out(content: set[str]) -> None:
    unwanted = (
        *("emulator/setup/", "emulator/render/wheel.py", "emulator/webhook/values_schema.py"),
        *("deploy/", "fixtures/", "templates/", "tests/"),
    )
    assert [name for name in content if name.startswith(unwanted)] == []


def test_metadata_names_license_and_command(wheel: Path, content: set[str]) -> None:
    (folder,) = {name.partition("/")[0] for name in content if ".dist-info/" in name}
    assert f"{folder}/licenses/LICENSE" in content
    with zipfile.ZipFile(wheel) as archive:
        assert b"imds-emulator = emulator.cli:main" in archive.read(f"{folder}/entry_points.txt")


def test_installed_modules_are_the_wheels(installed: Path) -> None:
    program = [str(installed / "bin/python"), "-c", "import emulator; print(emulator.__file__)"]
    done = subprocess.run(program, cwd=installed, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(installed))


def test_sample_is_on_board_and_without_mistakes(installed: Path) -> None:
    (sample,) = installed.glob("lib/python*/site-packages/emulator/_data/sample.yaml")
    run(installed, "check", str(sample))


def test_documents_come_from_compiled_templates(installed: Path) -> None:
    """Rendering works, and still does when the templates' source has turned to nonsense."""
    (sample,) = installed.glob("lib/python*/site-packages/emulator/_data/sample.yaml")
    path = "/openstack/latest/network_data.json"
    before = run(installed, "render", str(sample), path)
    for source in installed.glob("lib/python*/site-packages/emulator/_templates/source/*/*"):
        source.write_text("{% nonsense %}")
    assert run(installed, "render", str(sample), path) == before
