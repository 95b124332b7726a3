from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator.boot.images import build, find, recipes
from emulator.boot.images.cache import Cache, Image, cache_folder
from emulator.boot.images.official import official
from emulator.boot.processes import Interrupted, interruptible
from emulator.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = Image(name="debian-12", disk="disk.qcow2", origin="test", kernel="vmlinuz")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "images")


def keep(cache: Cache, entry: str, image: Image = IMAGE, content: bytes = b"disk") -> Image:
    with cache.lock(entry), cache.making(entry) as work:
        (work / image.disk).write_bytes(content)
        return cache.keep(entry, work, image)


def test_an_entry_is_found_with_absolute_paths(cache: Cache) -> None:
    assert cache.find("a") is None
    kept = keep(cache, "a")
    assert kept.disk == str(cache.folder / "a" / "disk.qcow2")
    assert kept.kernel == str(cache.folder / "a" / "vmlinuz")
    assert kept.initrd == ""
    assert cache.find("a") == kept
    assert cache.all() == [kept]


def test_an_entry_is_replaced_whole(cache: Cache) -> None:
    keep(cache, "a")
    kept = keep(cache, "a", content=b"new")
    assert Path(kept.disk).read_bytes() == b"new"


def test_a_broken_record_counts_as_none(cache: Cache) -> None:
    keep(cache, "a")
    (cache.folder / "a" / "image.json").write_text("{")
    assert cache.find("a") is None
    assert cache.all() == []


def test_what_fails_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(ImageError, match="No space left"), cache.lock("a"), cache.making("a"):
        raise OSError(28, "No space left on device")
    assert [path.name for path in cache.folder.iterdir()] == ["a.lock"]
    assert cache.find("a") is None


def test_leftovers_of_a_killed_maker_are_swept(cache: Cache) -> None:
    stale = cache.folder / ".a.dead"
    stale.mkdir(parents=True)
    keep(cache, "a")
    assert not stale.exists()


def test_the_lock_is_held_against_other_processes(cache: Cache, tmp_path: Path) -> None:
    cache.folder.mkdir(parents=True)
    with cache.lock("a"):
        other = multiprocessing.get_context("spawn").Process(
            target=take, args=(cache.folder, tmp_path / "taken")
        )
        other.start()
        other.join(1.0)
        assert not (tmp_path / "taken").exists()
    other.join(60)
    assert (tmp_path / "taken").exists()


def take(folder: Path, mark: Path) -> None:
    with Cache(folder).lock("a"):
        mark.touch()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ImageError, match="Not a directory"),
        Cache(tmp_path / "file" / "x").lock("a"),
    ):
        pass


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({"XDG_CACHE_HOME": "/c"}, "/c/"),
        ({"XDG_CACHE_HOME": "c"}, str(Path.home())),
        ({}, str(Path.home())),
    ],
)
def test_the_cache_follows_xdg(environment: dict[str, str], start: str) -> None:
    folder = cache_folder(environment)
    assert str(folder).startswith(start)
    assert folder.parts[-2:] == ("imds-emulator", "images")


def test_a_recipe_key_changes_with_what_is_in_the_image() -> None:
    recipe = recipes.RECIPES["debian-12"]
    more = recipes.Recipe(recipe.name, recipe.suite, (*recipe.packages, "vim"))
    other_order = recipes.Recipe(recipe.name, recipe.suite, recipe.packages[::-1])
    assert len({recipe.key, more.key, recipes.RECIPES["debian-13"].key}) == 3
    assert other_order.key == recipe.key


def test_the_file_of_official_images() -> None:
    assert {"debian-12-genericcloud", "debian-13-genericcloud", "ubuntu-24.04"} <= set(official())
    for image in official().values():
        assert image.url.startswith("https://")
        assert image.sums.startswith("https://")
        assert image.sums.rsplit("/", 1)[0] == image.url.rsplit("/", 1)[0]


def test_a_path_is_a_path(cache: Cache, tmp_path: Path) -> None:
    assert find.find("./x.qcow2", cache, print).disk == "./x.qcow2"
    assert find.find(str(tmp_path), cache, print).disk == str(tmp_path)


def test_a_name_is_looked_up(cache: Cache) -> None:
    recipe = recipes.RECIPES["debian-12"]
    kept = keep(cache, f"debian-12-{recipe.key}")
    keep(cache, "debian-12-ofanotherday")
    assert find.find("debian-12", cache, print) == kept


def test_of_several_pulled_images_the_newest_counts(cache: Cache) -> None:
    image = Image(name="ubuntu-24.04", disk="disk.qcow2", origin="o")
    old, new = keep(cache, "u-1", image), keep(cache, "u-2", image)
    os.utime(old.disk, (1, 1))
    assert find.find("ubuntu-24.04", cache, print) == new


def test_a_buildable_image_is_built(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def fake(recipe: recipes.Recipe, *_: object) -> Image:
        built.append(recipe.name)
        return IMAGE

    monkeypatch.setattr(find, "build", fake)
    assert find.find("debian-13", cache, print) == IMAGE
    assert built == ["debian-13"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("ubuntu-24.04", "imds-emulator image pull ubuntu-24.04"), ("nix", "known names: debian-12")],
)
def test_images_that_are_not_here_are_explained(cache: Cache, name: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        find.find(name, cache, print)


def test_without_building_a_missing_image_is_only_named(cache: Cache) -> None:
    with pytest.raises(ImageError, match=r"debian-13 is not here yet: .* image build debian-13"):
        find.find("debian-13", cache, None)
    assert not cache.folder.exists()


def test_tools_that_are_missing_are_named_with_the_line(
    monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    monkeypatch.setattr(build, "missing", lambda _: ["mmdebstrap", "mcopy"])
    with pytest.raises(ImageError, match="apt-get install mmdebstrap mtools"):
        build.build(recipes.RECIPES["debian-12"], cache, print)


def test_the_keyring_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "missing", lambda _: [])
    monkeypatch.setattr(build, "KEYRING", tmp_path / "none")
    with pytest.raises(ImageError, match="apt-get install debian-archive-keyring"):
        build.check_tools()


def test_other_processors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(ImageError, match="x86-64 only; this machine is aarch64"):
        build.check_tools()


def test_root_builds_as_root() -> None:
    assert build.privilege(0) == build.ROOT


def test_a_user_builds_in_a_namespace_or_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "missing", lambda _: [])
    monkeypatch.setattr(build, "NAMESPACE", build.Privilege("unshare", ("env",)))
    assert build.privilege(1000).mode == "unshare"
    monkeypatch.setattr(
        build, "NAMESPACE", build.Privilege("unshare", ("sh", "-c", "echo no >&2; exit 1"))
    )
    with pytest.raises(ImageError, match=r"needs root .*neither is to be had here \(no\).*uidmap"):
        build.privilege(1000)
    monkeypatch.setattr(build, "missing", lambda _: ["newuidmap"])
    with pytest.raises(ImageError, match="newuidmap not found"):
        build.privilege(1000)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Give a function that replaces a program; what writes the disk is real where it is here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def replace(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return replace


def system(folder: Path) -> Path:
    """Make a tar of a very small system."""
    root = folder / "root"
    for name in (
        "boot/vmlinuz-6.1.0-1",
        "boot/initrd.img-6.1.0-1",
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "etc/cloud/cloud.cfg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    with tarfile.open(folder / "system.tar", "w") as tar:
        tar.add(root, ".")
    return folder / "system.tar"


def test_a_disk_is_made_of_a_system(
    tools: Callable[[str, str], None],
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build.check_tools()
    monkeypatch.setattr(build, "privilege", lambda: build.ROOT)
    tools("mmdebstrap", f"cp {system(tmp_path)} rootfs.tar")
    said: list[str] = []
    image = build.build(recipes.RECIPES["debian-12"], cache, said.append)
    assert [entry.name for entry in cache.all()] == ["debian-12"]
    assert Path(image.kernel).read_text() == "boot/vmlinuz-6.1.0-1"
    assert Path(image.initrd).read_text() == "boot/initrd.img-6.1.0-1"
    assert len(said) == 2
    assert build.build(recipes.RECIPES["debian-12"], cache, said.append) == image
    assert len(said) == 2
    output = tmp_path / "out.qcow2"
    build.export(image, output)
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", output, raw], check=True)
    with raw.open("rb") as disk:
        assert disk.read(512)[510:] == b"\x55\xaa"
        disk.seek(512)
        assert disk.read(8) == b"EFI PART"
    esp = ["mdir", "-b", "-/", "-i", f"{raw}@@{build.ESP_START_MIB}M", "::"]
    files = subprocess.run(esp, capture_output=True, text=True, check=True).stdout
    for name in ("EFI/BOOT/BOOTX64.EFI", "vmlinuz", "initrd.img", "loader/entries/debian.conf"):
        assert name in files
    checked = subprocess.run(
        ["/usr/sbin/e2fsck", "-fn", f"{raw}?offset={build.ROOT_START_MIB << 20}"],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0


def test_an_interrupted_build_leaves_no_tree(
    tools: Callable[[str, str], None],
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in a namespace, where nobody outside may remove the tree.
    monkeypatch.setattr("emulator.boot.images.cache.shutil.rmtree", lambda *_, **__: None)
    monkeypatch.setattr(build, "privilege", lambda: build.ROOT)
    tools("mmdebstrap", f"cp {system(tmp_path)} rootfs.tar")
    tools("mke2fs", f"ls > {tmp_path}/seen; kill -TERM {os.getpid()}; exec sleep 600")
    with pytest.raises(Interrupted), interruptible():
        build.build(recipes.RECIPES["debian-12"], cache, print)
    assert "tree" in (tmp_path / "seen").read_text().split()
    assert list(cache.folder.glob(".*/tree")) == []
    assert cache.all() == []


def test_a_system_without_kernel_is_refused(
    tools: Callable[[str, str], None],
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "privilege", lambda: build.ROOT)
    empty = tmp_path / "empty.tar"
    with tarfile.open(empty, "w"):
        pass
    tools("mmdebstrap", f"cp {empty} rootfs.tar")
    with pytest.raises(ImageError, match=r"no vmlinuz, initrd\.img, systemd-boot\.efi"):
        build.build(recipes.RECIPES["debian-12"], cache, print)
    assert cache.all() == []


def test_what_a_tool_says_is_shown(
    tools: Callable[[str, str], None], cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "privilege", lambda: build.ROOT)
    tools("mmdebstrap", "echo E: no mirror >&2; exit 25")
    with pytest.raises(ImageError, match="mmdebstrap failed with status 25:\nE: no mirror"):
        build.build(recipes.RECIPES["debian-12"], cache, print)


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, cache: Cache) -> None:
    image = keep(cache, "a")
    with pytest.raises(ImageError, match="No such file"):
        build.export(image, tmp_path / "none" / "out")
    build.export(image, tmp_path / "out")
    assert stat.S_ISREG((tmp_path / "out").stat().st_mode)


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emulator", "image", "--cache", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_the_command_lists_and_finds(cache: Cache) -> None:
    kept = keep(cache, f"debian-12-{recipes.RECIPES['debian-12'].key}")
    listed = command("list", folder=cache.folder)
    assert listed.returncode == 0
    assert kept.disk in listed.stdout
    assert "imds-emulator image build debian-13" in listed.stdout
    assert "ubuntu-24.04" in listed.stdout
    assert command("path", "debian-12", folder=cache.folder).stdout.strip() == kept.disk
    missing = command("path", "debian-13", folder=cache.folder)
    assert missing.returncode == 1
    assert "debian-13 is not here" in missing.stderr


def test_the_command_builds_into_a_file(cache: Cache, tmp_path: Path) -> None:
    keep(cache, f"debian-12-{recipes.RECIPES['debian-12'].key}")
    output = tmp_path / "my.qcow2"
    done = command("build", "debian-12", "--output", str(output), folder=cache.folder)
    assert done.stdout.strip() == str(output)
    assert output.read_bytes() == b"disk"
