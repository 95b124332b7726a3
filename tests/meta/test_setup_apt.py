"""Packages are installed once, with the rights there are; without rights the line is told."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from emulator.boot.packages import PACKAGE
from emulator.setup import apt, packages
from emulator.setup.errors import SetupError

ESSENTIAL = {"tar", "util-linux"}  # on every Debian and Ubuntu


class Host:
    """A PATH with nothing but programs of ours, which note down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        self.program("env", 'export "$1"; shift; exec "$@"')

    def program(self, name: str, body: str = "exit 0") -> None:
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{body}\n')
        file.chmod(0o755)

    def called(self, name: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith(name)]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", str(tmp_path))
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    (lists / "somewhere_Packages.lz4").touch()
    monkeypatch.setattr(apt, "LISTS", lists)
    return Host(tmp_path)


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_missing_asks_dpkg(host: Host) -> None:
    host.program("dpkg-query", "echo 'curl installed'; echo 'ovmf config-files'; exit 1")
    assert apt.missing(["curl", "ovmf", "mtools"]) == ["ovmf", "mtools"]


def test_without_dpkg_the_packages_are_named(host: Host) -> None:
    with pytest.raises(SetupError, match=r"Debian or Ubuntu.*curl"):
        apt.missing(["curl"])


def test_nothing_missing_calls_nothing(host: Host) -> None:
    apt.install([])
    assert host.called("") == []


def test_root_installs_without_update(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    host.program("apt-get", 'test "$DEBIAN_FRONTEND" = noninteractive')
    apt.install(["curl", "ovmf"])
    (call,) = host.called("apt-get")
    assert call.startswith("apt-get install --yes --no-install-recommends --quiet curl ovmf")


def test_failed_install_updates_and_tries_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 0)
    updated = host.folder / "updated"
    host.program("apt-get", f"case $1 in update) : > {updated};; *) test -e {updated};; esac")
    apt.install(["curl"])
    assert [call.split()[1] for call in host.called("apt-get")] == ["install", "update", "install"]


@pytest.mark.parametrize("lists", ["empty", "old"])
def test_unfit_lists_are_updated_first(
    host: Host, monkeypatch: pytest.MonkeyPatch, lists: str
) -> None:
    as_user(monkeypatch, 0)
    host.program("apt-get")
    if lists == "empty":
        (apt.LISTS / "somewhere_Packages.lz4").unlink()
    else:
        os.utime(apt.LISTS, (0, 0))
        os.utime(apt.LISTS / "partial", (0, 0))
    apt.install(["curl"])
    assert [call.split()[1] for call in host.called("apt-get")] == ["update", "install"]


def test_hopeless_install_tells_the_line(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    host.program("apt-get", "exit 100")
    with pytest.raises(SetupError, match=r"apt-get install --yes --no-install-recommends curl"):
        apt.install(["curl"])


def test_sudo_is_used_when_it_works(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 1000)
    host.program("sudo", 'test "$1" = -n && exit 0; exec "$@"')
    host.program("apt-get")
    apt.install(["curl"])
    assert len(host.called("sudo env DEBIAN_FRONTEND=noninteractive apt-get install")) == 1
    assert len(host.called("apt-get")) == 1


@pytest.mark.parametrize("sudo", [None, "exit 1"], ids=["none", "wants a password"])
def test_without_rights_the_line_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, sudo: str | None
) -> None:
    as_user(monkeypatch, 1000)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    if sudo:
        host.program("sudo", sudo)
    host.program("apt-get")
    with pytest.raises(SetupError, match=r"run:\n  apt-get install --yes .* curl ovmf$"):
        apt.install(["curl", "ovmf"])
    assert host.called("apt-get") == []


def test_all_that_boot_calls_is_in_the_table() -> None:
    assert set(PACKAGE.values()) - ESSENTIAL <= set(packages.wanted(tests=False))


def test_demo_needs_less_than_the_tests() -> None:
    assert set(packages.wanted(tests=False)) < set(packages.wanted(tests=True))


def test_python_without_ensurepip_needs_its_venv_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packages.for_python() == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (package,) = packages.for_python()
    assert package.startswith("python3.")
    assert package.endswith("-venv")
