"""What a description names outside of itself: files whose places count, programs that are run."""

from __future__ import annotations

import pytest

from emulator.dialects import VOCABULARY
from emulator.dialects.ec2.section import Ec2
from emulator.errors import ConfigError
from emulator.model.build import build
from emulator.model.decode import Outside
from emulator.model.document import Unfit
from emulator.sources.compose import compose

FILE = "name: vm\nec2: {credentials: {role: web, provider: file, file: keys}}\n"
PROGRAM = "name: vm\nec2: {credentials: {role: web, provider: process, command: [keys]}}\n"


def read(path: str, _limit: int) -> bytes:
    raise Unfit(path, "no file")


def section(text: str, outside: Outside) -> Ec2:
    found = build(compose(text, "vm.yaml"), VOCABULARY, outside).instance.sections["ec2"]
    assert isinstance(found, Ec2)
    return found


def test_a_file_is_found_from_where_its_description_is() -> None:
    outside = Outside(read=read, locate=lambda path: f"/base/{path}")
    assert section(FILE, outside).credentials.file == "/base/keys"
    assert section(PROGRAM, outside).credentials.command == ("keys",)


def test_a_file_may_be_out_of_reach() -> None:
    def locate(path: str) -> str:
        raise Unfit(path, "a file below the pod's folder")

    with pytest.raises(ConfigError) as error:
        section(FILE, Outside(read=read, locate=locate))
    assert str(error.value) == (
        "vm.yaml:2: ec2.credentials.file: found keys; allowed: a file below the pod's folder"
    )


def test_where_others_write_descriptions_they_name_no_program() -> None:
    with pytest.raises(ConfigError) as error:
        section(PROGRAM, Outside(read=read, locate=str, programs=False))
    assert str(error.value) == (
        "vm.yaml:2: ec2.credentials.command: found a program; allowed: none where this is written"
    )


def test_what_is_broken_is_not_followed() -> None:
    with pytest.raises(ConfigError) as error:
        section(PROGRAM.replace("[keys]", "[7]"), Outside(read=read, locate=str))
    assert "ec2.credentials.command[0]" in str(error.value)
