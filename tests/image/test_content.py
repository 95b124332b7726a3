"""What is in the image, and what is not."""

from __future__ import annotations

import re
import stat
from pathlib import PurePosixPath

import pytest

from tests.image.archive import Archive

pytestmark = [pytest.mark.client, pytest.mark.namespace]

# Bytes: of all files, and of the layer as a registry has it. docs/image.md names both.
MOST = 58_000_000
MOST_COMPRESSED = 24_000_000

USER = 65532
HOME = "var/lib/imds-emulator"
OURS = re.compile(r"opt/imds-emulator/lib/python3\.\d+/site-packages/emulator/")
NEVER = re.compile(
    r"""
    (^|/)(__pycache__/.*(?<!\.pyc)|include/.*|man/.*|locale/.*|ensurepip|idlelib|tkinter|tests?)$
    | \.(a|c|h|la|pxd|pyi|pyx|whl)$
    | site-packages/(pip|setuptools|wheel|hatchling)\b
    | ^(run|var/(cache|lib/apt|log))/.
    | pip\.conf$
    | ^usr/share/doc/(?!.*/copyright$).*/.
    """,
    re.VERBOSE,
)


def test_it_is_small(archive: Archive) -> None:
    assert archive.size <= MOST
    assert archive.compressed <= MOST_COMPRESSED


def test_it_runs_as_nobody_in_particular(archive: Archive) -> None:
    config = archive.config
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["imds-emulator"]
    assert config["Cmd"] == ["serve", "--listen", "0.0.0.0:16925"]
    assert set(config["ExposedPorts"]) == {"16925/tcp"}
    assert set(config["Volumes"]) == {f"/{HOME}"}
    assert f"imds:x:{USER}:{USER}:" in archive.text("etc/passwd")


def test_nothing_can_be_run_but_the_server_and_nft(archive: Archive) -> None:
    assert {
        re.sub(r"python3\.\d+", "python3.X", name)
        for name, (entry, _) in archive.files.items()
        if re.search(r"/s?bin/", name) or (entry.isfile() and entry.mode & 0o111)
        if not re.search(r"\.so(\.|$)", name)
    } == {
        "opt/imds-emulator/bin/imds-emulator",
        "opt/imds-emulator/bin/python",
        "opt/imds-emulator/bin/python3",
        "opt/imds-emulator/bin/python3.X",
        "usr/bin/python3",
        "usr/bin/python3.X",
        "usr/sbin/nft",
    }


def test_nothing_is_there_that_only_builds_or_documents(archive: Archive) -> None:
    assert [name for name in archive.files if NEVER.search(name)] == []


def test_only_state_is_another_users_and_nothing_raises_privileges(archive: Archive) -> None:
    owned = {name: file.entry.uid for name, file in archive.files.items() if file.entry.uid}
    assert owned == {HOME: USER}
    assert stat.S_IMODE(archive.files[HOME].entry.mode) == 0o700
    open_, raising = [], []
    for name, (entry, _) in archive.files.items():
        if entry.mode & 0o002 and not entry.issym():
            open_.append(name)
        if entry.mode & 0o6000:
            raising.append(name)
    assert open_ == ["tmp"]
    assert raising == []


def test_byte_code_is_never_compared_with_sources(archive: Archive) -> None:
    """PEP 552: of the flags after the magic number, 1 is for a hash, 2 for checking it."""
    flags = {
        int.from_bytes(file.head[4:8], "little")
        for name, file in archive.files.items()
        if name.endswith(".pyc")
    }
    assert flags == {1}


def test_only_our_own_sources_are_there_and_all_are_compiled(archive: Archive) -> None:
    sources = {PurePosixPath(name) for name in archive.files if name.endswith(".py")}
    assert all(OURS.match(str(source)) for source in sources)
    compiled = {
        PurePosixPath(name).parents[1] / f"{PurePosixPath(name).name.partition('.')[0]}.py"
        for name in archive.files
        if name.endswith(".pyc") and "__pycache__" in name
    }
    assert compiled == sources


def test_each_debian_package_is_on_record_with_its_licence(archive: Archive) -> None:
    packages = re.findall(r"^Package: (.+)$", archive.text("var/lib/dpkg/status"), re.MULTILINE)
    assert {"ca-certificates", "libc6", "nftables"} < set(packages)
    for package in packages:
        assert archive.files[f"usr/share/doc/{package}/copyright"].entry.size


def test_the_system_is_named(archive: Archive, suite: str) -> None:
    assert f"VERSION_CODENAME={suite}" in archive.text("etc/os-release")


def test_python_packages_brought_their_licences(archive: Archive) -> None:
    folders = {name for name in archive.files if name.endswith(".dist-info")}
    assert folders
    for folder in folders:
        inside = [name for name in archive.files if name.startswith(f"{folder}/")]
        assert [name for name in inside if re.search("licen[cs]e|copying", name, re.IGNORECASE)]
