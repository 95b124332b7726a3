"""The key of session tokens: the operator's, or made once, kept, and the same for all."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from emulator.errors import ConfigError
from emulator.runtime.session_key import SessionKey, read
from emulator.runtime.state import State
from tests.support.ports import FakePorts


def test_a_key_is_made_once_and_kept(tmp_path: Path, fake_ports: FakePorts) -> None:
    state = State(str(tmp_path))
    key = SessionKey(fake_ports.ports, state)
    assert not (tmp_path / "session.key").exists()
    made = key()
    assert len(made) == 32
    assert key() == made == SessionKey(fake_ports.ports, state)()
    assert (tmp_path / "session.key").stat().st_mode & 0o077 == 0


def test_of_two_that_begin_at_once_both_use_the_first(
    tmp_path: Path, fake_ports: FakePorts
) -> None:
    state = State(str(tmp_path))
    assert state.settle("session.key", b"first") == b"first"
    assert state.settle("session.key", b"second") == b"first"
    assert SessionKey(fake_ports.ports, state)() == b"first"


def test_a_race_for_the_first_is_won_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(str(tmp_path))
    monkeypatch.setattr(state, "load", lambda _name: None)
    assert state.settle("a", b"first") == b"first"
    assert state.settle("a", b"second") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_operators_key_is_used_and_not_kept(tmp_path: Path, fake_ports: FakePorts) -> None:
    fake_ports.files["/key"] = b"  0123456789abcdef\n"
    given = read(fake_ports.ports, "/key")
    assert SessionKey(fake_ports.ports, State(str(tmp_path)), given)() == b"0123456789abcdef"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [({}, "No such file"), ({"/key": b"short\n"}, "5 bytes")],
)
def test_a_key_that_is_none_is_refused(
    fake_ports: FakePorts, files: dict[str, bytes], found: str
) -> None:
    fake_ports.files = files
    with pytest.raises(ConfigError, match=f"--session-key: found /key.*{found}"):
        read(fake_ports.ports, "/key")


def test_a_key_that_cannot_be_kept_is_good_for_this_process(
    tmp_path: Path, fake_ports: FakePorts, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    key = SessionKey(fake_ports.ports, State(str(tmp_path / "file")))
    with caplog.at_level(logging.WARNING):
        assert key() == key()
    assert "will not outlive" in caplog.text
