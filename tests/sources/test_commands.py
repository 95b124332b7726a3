"""``check`` and ``schema`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.cli import main
from emulator.dialects import DIALECTS, VOCABULARY
from emulator.sources import load

FIXTURES = Path(__file__).parent.parent.parent / "fixtures/instances"


def test_all_fixtures_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in sorted(FIXTURES.iterdir()) if path.suffix != ".sh"]
    assert main(["check", *paths]) == 0
    assert capsys.readouterr() == ("ok: 9 instances\n", "")


def test_the_sample_has_every_dialect_and_something_for_each_field() -> None:
    [sample] = load(str(FIXTURES / "sample.yaml"), VOCABULARY)
    assert sample.name == "sample"
    replaced = {name for dialect in DIALECTS.values() for name in dialect.replaces}
    assert set(sample.dialects) == set(VOCABULARY.policies) - replaced
    for field in sample.__struct_fields__:
        if field not in {"launch_index", "launched", "session_epoch", "events"}:
            assert getattr(sample, field), field


def test_five_lines_are_enough() -> None:
    assert len((FIXTURES / "minimal.yaml").read_text().splitlines()) <= 5


def test_a_windows_guest_can_encrypt_its_password() -> None:
    [vm] = load(str(FIXTURES / "windows.yaml"), VOCABULARY)
    assert vm.public_keys[0].key.startswith("ssh-rsa ")
    assert vm.public_keys[1].type == "x509"
    assert vm.meta["admin_username"]


def test_large_user_data_is_there_whole() -> None:
    [vm] = load(str(FIXTURES / "large-user-data.yaml"), VOCABULARY)
    assert vm.user_data is not None
    assert vm.user_data.data == (FIXTURES / "large-user-data.sh").read_bytes()
    assert len(vm.user_data.data) > 200_000


def test_several_machines_are_told_apart() -> None:
    found = load(str(FIXTURES / "several"), VOCABULARY)
    assert [vm.name for vm in found] == ["db-1", "web-1", "web-2"]
    assert all(vm.peer.addresses for vm in found)


def test_every_problem_and_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a\ntyp: b\nlaunch_index: x\n")
    assert main(["check", str(path), str(FIXTURES / "minimal.yaml")]) == 2
    printed = capsys.readouterr()
    assert printed.out.replace(f"{tmp_path}/", "").splitlines() == [
        'vm.yaml:2: typ: found the unknown field "typ"; allowed: type (the nearest name)',
        'vm.yaml:3: launch_index: found "x"; allowed: a whole number from 0 to 2147483647',
    ]
    assert printed.err == "2 problems\n"


def test_a_pod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "annotations").write_text('imds.kubevirt.io/name="vm"\n')
    assert main(["check", "--podinfo", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "ok: 1 instance\n"
    (tmp_path / "annotations").write_text('imds.kubevirt.io/nam="vm"\n')
    assert main(["check", "--podinfo", str(tmp_path)]) == 2


def test_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "give at least one PATH" in capsys.readouterr().err


def test_templates_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vm.yaml"
    path.write_text("name: a\nuser_data: {text: '{{ instance.nam }}', template: true}\n")
    assert main(["check", str(path)]) == 2
    printed = capsys.readouterr()
    assert "user_data" in printed.out
    assert printed.err == "1 problem\n"
    assert main(["check", str(path), "--templates", str(tmp_path / "gone")]) == 2


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["properties"]["dialects"]["items"]["enum"]) == set(VOCABULARY.policies)


def test_the_reference_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--reference"]) == 0
    assert capsys.readouterr().out.startswith("# The instance description\n")
