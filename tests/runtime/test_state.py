"""State is written whole or not at all, and for its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from emulator.runtime.state import State, default_directory


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    assert state.load("keys/a") is None
    state.save("keys/a", b"one")
    state.save("keys/a", b"two")
    assert state.load("keys/a") == b"two"
    assert stat.S_IMODE(state.path("keys/a").stat().st_mode) == 0o600
    assert [path.name for path in state.path("keys").iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    state.path("a").mkdir()
    with pytest.raises(OSError, match="directory"):
        state.save("a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/imds-emulator"),
        ({"HOME": "/h"}, "/h/.local/state/imds-emulator"),
        ({}, "/var/lib/.local/state/imds-emulator"),
    ],
)
def test_the_default_folder_follows_xdg(environ: dict[str, str], expected: str) -> None:
    assert default_directory(environ) == expected
