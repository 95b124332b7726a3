"""Files and folders: what they give, what they refuse, and when they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.errors import ConfigError
from emulator.model.vocabulary import Vocabulary
from emulator.ports import SYSTEM, Ports
from emulator.sources import Source, load, open_path

MAC = "52:54:00:00:00:0{}"


def refusal(path: Path, vocabulary: Vocabulary) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(str(path), vocabulary)
    return [str(problem).replace(f"{path.parent}/", "") for problem in error.value.problems]


def counting() -> tuple[Ports, list[str]]:
    read: list[str] = []

    def reading(path: str) -> bytes:
        read.append(Path(path).name)
        return SYSTEM.read(path)

    return Ports(SYSTEM.wall, SYSTEM.monotonic, SYSTEM.random, reading), read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n")
    return tmp_path


# ------------------------------------------------------------------------------- one file


def test_a_file_gives_one_instance(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: web-1\r\n")
    assert [vm.name for vm in load(str(path), vocabulary)] == ["web-1"]


EMPTY = "1: found an empty document; allowed: a mapping with name and other fields"
FORBIDDEN = "found a character that YAML forbids (control characters are not allowed)"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", EMPTY),
        (b"# a\n", EMPTY),
        (b"name: a\n\xff", "2: found the byte 0xff; allowed: UTF-8"),
        ("name: a".encode("utf-16"), "1: found the byte 0xff; allowed: UTF-8"),
        (b"\x7fELF\x02\x01", f"1: {FORBIDDEN}; allowed: printable text"),
    ],
)
def test_a_file_that_is_none(
    data: bytes, expected: str, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(data)
    assert refusal(path, vocabulary) == [f"vm.yaml:{expected}"]


LIMIT = "allowed: a readable file of at most 4194304 bytes"


def test_what_cannot_be_read(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    assert refusal(path, vocabulary) == [f"vm.yaml: found no such file or directory; {LIMIT}"]
    os.mkfifo(path)
    assert refusal(path, vocabulary) == [f"vm.yaml: found not a regular file; {LIMIT}"]
    path.unlink()
    path.symlink_to(path)
    [found] = refusal(path, vocabulary)
    assert "too many levels of symbolic links" in found
    with pytest.raises(ConfigError, match="null byte"):
        load("a\0b", vocabulary)


def test_an_unreadable_file(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a")

    def refused(_path: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    ports = Ports(SYSTEM.wall, SYSTEM.monotonic, SYSTEM.random, refused)
    with pytest.raises(ConfigError, match="permission denied; allowed: a readable file"):
        load(str(path), vocabulary, ports)


def test_enormous_files_are_not_read(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(path, vocabulary) == [f"vm.yaml: found 1099511627776 bytes; {LIMIT}"]


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a")
    ports = Ports(SYSTEM.wall, SYSTEM.monotonic, SYSTEM.random, lambda _path: b"#" * (5 << 20))
    with pytest.raises(ConfigError, match="5242880 bytes"):
        load(str(path), vocabulary, ports)


def test_contents_stand_beside_the_description(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/vm.yaml").write_text("name: a\nuser_data: {file: ../data}\n")
    (tmp_path / "data").write_bytes(b"\x1f\x8b\x00\r\n")
    monkeypatch.chdir(tmp_path)
    for path in ("sub/vm.yaml", str(tmp_path / "sub/vm.yaml"), "sub"):
        [vm] = load(path, vocabulary)
        assert vm.user_data is not None
        assert vm.user_data.data == b"\x1f\x8b\x00\r\n"
    monkeypatch.chdir(tmp_path / "sub")
    [vm] = load("vm.yaml", vocabulary)
    (tmp_path / "data").unlink()
    with pytest.raises(ConfigError, match=r"vm\.yaml:2: user_data\.file: found .*no such file"):
        load("vm.yaml", vocabulary)


def test_user_data_has_its_own_limit(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a\nuser_data: {file: data}\n")
    (tmp_path / "data").write_bytes(bytes(16 << 20))
    [vm] = load(str(path), vocabulary)
    assert vm.user_data is not None
    assert len(vm.user_data.data) == 16 << 20
    (tmp_path / "data").write_bytes(bytes((16 << 20) + 1))
    [found] = refusal(path, vocabulary)
    assert "16777217 bytes; allowed: a readable file of at most 16777216 bytes" in found


@given(data=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_an_instance_or_problems(
    data: bytes, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(str(path), vocabulary)
    path.write_bytes(b"name: a\nmeta: " + data)
    try:
        load(str(path), vocabulary)
    except ConfigError as error:
        assert all(problem.line for problem in error.problems)  # noqa: PT017 - either may be


# --------------------------------------------------------------------------------- folders


def test_a_folder_gives_its_files_in_order(folder: Path, vocabulary: Vocabulary) -> None:
    (folder / "0.yml").write_text("name: zero")
    for ignored in (".hidden.yaml", "notes.txt", "a.yaml~"):
        (folder / ignored).write_text("[")
    assert [vm.name for vm in load(str(folder), vocabulary)] == ["zero", "a", "b"]
    assert [vm.name for vm in load(f"{folder}/", vocabulary)] == ["zero", "a", "b"]


def test_an_empty_folder(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert refusal(tmp_path, vocabulary) == [
        f"{tmp_path.name}: found none in this folder; allowed: files ending in .yaml or .yml"
    ]


def test_the_problems_of_all_files_come_together(folder: Path, vocabulary: Vocabulary) -> None:
    (folder / "a.yaml").write_text("name: a\ntyp: x\n")
    (folder / "b.yaml").write_text("nam: b\n")
    (folder / "c.yaml").mkdir()
    found = [problem.removeprefix(f"{folder.name}/") for problem in refusal(folder, vocabulary)]
    assert [problem.split(": found")[0] for problem in found] == [
        "a.yaml:2: typ",
        "b.yaml:1: nam",
        "b.yaml:1: name",
        "c.yaml",
    ]


STATIC = "interfaces: [{mac: 52:54:00:00:00:01, addresses: [10.0.0.5/24]}]"
UUID = "5f0c1a3e-9d42-4c47-8a25-6c1f8c2b7a10"
ADDRESS = "each address at one machine (or peer.addresses or peer.socket to tell them)"


@pytest.mark.parametrize(
    ("one", "two", "field", "found", "allowed"),
    [
        (
            "",
            "name: x",
            "1: name",
            'machine "x" in namespace "default"',
            "name once in a namespace",
        ),
        (f"uuid: {UUID}", f"uuid: {UUID.upper()}", "2: uuid", f"UUID {UUID}", "UUID once"),
        ("peer: {socket: s}", "peer: {socket: ./s}", "2: peer.socket", "socket s", "socket once"),
        (
            "peer: {addresses: ['2001:DB8::1']}",
            "peer: {addresses: ['2001:db8::0:1']}",
            "2: peer.addresses",
            "address 2001:db8::1",
            ADDRESS.removeprefix("each "),
        ),
        (
            "peer: {addresses: [10.0.0.5]}",
            STATIC,
            "2: interfaces",
            "address 10.0.0.5",
            ADDRESS.removeprefix("each "),
        ),
    ],
)
def test_what_tells_machines_apart_is_theirs_alone(
    one: str,
    two: str,
    field: str,
    found: str,
    allowed: str,
    folder: Path,
    vocabulary: Vocabulary,
) -> None:
    (folder / "a.yaml").write_text(f"name: x\n{one}")
    (folder / "b.yaml").write_text(two if "name" in two else f"name: y\n{two}")
    first = 1 if field == "1: name" else 2
    with pytest.raises(ConfigError) as error:
        load(str(folder), vocabulary)
    again = f"found the {found} again (first in a.yaml:{first})"
    said = str(error.value).replace(f"{folder}/", "")
    assert said == f"b.yaml:{field}: {again}; allowed: each {allowed}"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("name: x", "name: x\nnamespace: y"),
        (f"name: x\n{STATIC}", f"name: y\npeer: {{socket: s}}\n{STATIC}"),
        (f"name: x\n{STATIC}", f"name: y\npeer: {{addresses: [10.9.0.1]}}\n{STATIC}"),
    ],
)
def test_what_may_be_the_same(one: str, two: str, folder: Path, vocabulary: Vocabulary) -> None:
    (folder / "a.yaml").write_text(one)
    (folder / "b.yaml").write_text(two)
    assert len(load(str(folder), vocabulary)) == 2


# -------------------------------------------------------------------------------- watching


def names(source: Source) -> list[str]:
    return [vm.name for vm in source.load()]


def test_a_fingerprint_changes_with_the_description(folder: Path, vocabulary: Vocabulary) -> None:
    source = open_path(str(folder), vocabulary)
    first = source.fingerprint()
    assert names(source) == ["a", "b"]
    assert source.fingerprint() == first
    (folder / "b.yaml").write_text("name: longer\n")
    second = source.fingerprint()
    assert second != first
    assert names(source) == ["a", "longer"]
    assert source.fingerprint() == second
    (folder / "c.yaml").write_text("name: c\n")
    third = source.fingerprint()
    assert third not in {first, second}
    assert names(source) == ["a", "longer", "c"]
    (folder / "c.yaml").unlink()
    assert source.fingerprint() not in {first, third}
    assert names(source) == ["a", "longer"]


def test_loading_first_and_asking_then_is_the_same(folder: Path, vocabulary: Vocabulary) -> None:
    source = open_path(str(folder), vocabulary)
    source.load()
    assert source.fingerprint() == source.fingerprint()
    before = source.fingerprint()
    (folder / "a.yaml").unlink()
    assert source.fingerprint() != before


def test_files_that_a_description_names_are_watched(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a\nuser_data: {file: data}\n")
    source = open_path(str(path), vocabulary)
    first = source.fingerprint()
    with pytest.raises(ConfigError):
        source.load()
    assert source.fingerprint() == first
    (tmp_path / "data").write_text("x")
    second = source.fingerprint()
    assert second != first
    [vm] = source.load()
    assert vm.user_data is not None
    assert source.fingerprint() == second
    (tmp_path / "data").write_text("yy")
    assert source.fingerprint() != second


def test_what_changes_while_it_is_read_is_noticed(folder: Path, vocabulary: Vocabulary) -> None:
    def meanwhile(path: str) -> bytes:
        data = SYSTEM.read(path)
        if path.endswith("a.yaml"):
            Path(path).write_text("name: changed\n")
        return data

    ports = Ports(SYSTEM.wall, SYSTEM.monotonic, SYSTEM.random, meanwhile)
    source = open_path(str(folder), vocabulary, ports)
    before = source.fingerprint()
    assert names(source) == ["a", "b"]
    assert source.fingerprint() != before
    assert names(source) == ["changed", "b"]


def test_only_what_changed_is_read_again(folder: Path, vocabulary: Vocabulary) -> None:
    ports, read = counting()
    source = open_path(str(folder), vocabulary, ports)
    source.load()
    (folder / "b.yaml").write_text("name: other\n")
    assert names(source) == ["a", "other"]
    assert read == ["a.yaml", "b.yaml", "b.yaml"]
    source.fingerprint()
    assert len(read) == 3
    # Nothing changed, and yet somebody asks (SIGHUP): everything is read.
    source.load()
    assert read[3:] == ["a.yaml", "b.yaml"]


def test_a_broken_file_is_read_again_only_when_it_changes(
    folder: Path, vocabulary: Vocabulary
) -> None:
    source = open_path(str(folder), vocabulary)
    source.load()
    (folder / "a.yaml").write_text("name: [\n")
    for _ in range(2):
        with pytest.raises(ConfigError):
            source.load()
    (folder / "a.yaml").write_text("name: good\n")
    assert names(source) == ["good", "b"]


def test_a_mounted_config_map_is_swapped(tmp_path: Path, vocabulary: Vocabulary) -> None:
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}/vm.yaml").write_text(f"name: vm{number}\n")
        os.utime(tmp_path / f"..{number}/vm.yaml", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "vm.yaml").symlink_to("..data/vm.yaml")
    source = open_path(str(tmp_path), vocabulary)
    before = source.fingerprint()
    assert names(source) == ["vm1"]
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert source.fingerprint() != before
    assert names(source) == ["vm2"]


def test_a_folder_that_goes_and_comes(folder: Path, vocabulary: Vocabulary) -> None:
    source = open_path(str(folder), vocabulary)
    source.load()
    moved = folder.with_name("moved")
    before = source.fingerprint()
    folder.rename(moved)
    assert source.fingerprint() != before
    with pytest.raises(ConfigError, match="no such file or directory"):
        source.load()
    moved.rename(folder)
    assert names(source) == ["a", "b"]


def test_the_uuid_that_another_machine_would_derive_is_its_own(
    folder: Path, vocabulary: Vocabulary
) -> None:
    (folder / "a.yaml").write_text("name: victim\n")
    uuid = load(str(folder / "a.yaml"), vocabulary)[0].uuid
    (folder / "b.yaml").write_text(f"name: thief\nuuid: {uuid}\n")
    with pytest.raises(ConfigError, match=rf"b\.yaml:2: uuid: found the UUID {uuid} again"):
        load(str(folder), vocabulary)
