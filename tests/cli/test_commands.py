"""Commands as they are typed: what they print and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.cli import COMMANDS, main
from emulator.runtime.state import State, password_name
from tests.server.support import instance

MINIMAL = "fixtures/instances/minimal.yaml"

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert COMMANDS[command] in capsys.readouterr().out


def test_without_a_command_the_usage_is_shown(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "usage: imds-emulator" in capsys.readouterr().err


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip().count(".") == 2


def test_render_lists_every_path(capsys: Capture) -> None:
    assert main(["render", MINIMAL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[1:] == ["ec2_v1", "/latest/meta-data"] for line in lines)
    assert any(line.split() == ["fresh", "kubevirt", "/v1/token"] for line in lines)


def test_render_prints_a_documents_bytes(capsys: Capture) -> None:
    assert main(["render", MINIMAL, "/latest/meta-data/hostname/"]) == 0
    assert capsys.readouterr().out == "web-1"


def test_render_says_what_does_not_exist(capsys: Capture) -> None:
    assert main(["render", MINIMAL, "/nowhere"]) == 1
    assert "no such path: /nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "key"), [("/openstack/latest/meta_data.json", "random_seed"), ("/v1/token", "token")]
)
def test_render_computes_what_is_fresh(
    path: str, key: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["render", MINIMAL, path, "--state", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)[key]) > 100


def test_render_wants_one_of_several(tmp_path: Path, capsys: Capture) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n")
    assert main(["render", str(tmp_path)]) == 2
    assert "--vm: choose one of one, two" in capsys.readouterr().err
    assert main(["render", str(tmp_path), "/latest/meta-data/hostname", "--vm", "two"]) == 0
    assert capsys.readouterr().out == "two"


def test_the_posted_password_is_shown_to_the_owner(tmp_path: Path, capsys: Capture) -> None:
    state = tmp_path / "state"
    assert main(["password", MINIMAL, "--state", str(state)]) == 1
    assert "no password was posted" in capsys.readouterr().err
    uuid = instance(tmp_path, Path(MINIMAL).read_text()).uuid
    State(str(state)).save(password_name(uuid), b"Y2lwaGVy\xff")
    assert main(["password", MINIMAL, "--state", str(state)]) == 0
    assert capsys.readouterr().out == "web-1 Y2lwaGVy\\xff\n"


def test_mistakes_are_named_with_file_and_line(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "web-1.yaml"
    path.write_text("name: web-1\nhostnme: x\n")
    assert main(["render", str(path)]) == 2
    assert f"{path}:2: hostnme: found" in capsys.readouterr().err


def test_the_schema_is_json(capsys: Capture) -> None:
    assert main(["schema"]) == 0
    assert "properties" in json.dumps(json.loads(capsys.readouterr().out))
