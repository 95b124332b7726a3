"""What a machine cannot run is left out with its reason, never silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.setup import gaps


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine whose kernel refuses namespaces."""
    program = tmp_path / "unshare"
    program.write_text(
        "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_namespaces_that_work_leave_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unshare").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gaps.namespaces_refused_by() is None
    assert gaps.from_namespaces(None) is None


def test_the_setting_that_refuses_is_named(refusing: Path) -> None:
    setting = refusing / "kernel/apparmor_restrict_unprivileged_userns"
    setting.parent.mkdir()
    setting.write_text("1\n")
    cause = gaps.namespaces_refused_by(refusing)
    assert cause == "the setting kernel.apparmor_restrict_unprivileged_userns=1"
    gap = gaps.from_namespaces(cause)
    assert gap is not None
    assert gap.markers == ("namespace", "guest")
    assert "apparmor_restrict_unprivileged_userns=1" in gap.reason


def test_without_a_known_setting_the_program_is_quoted(refusing: Path) -> None:
    assert (
        gaps.namespaces_refused_by(refusing) == "unshare: unshare failed: Operation not permitted"
    )


def test_missing_packages_are_named_with_the_line() -> None:
    assert gaps.from_packages([]) is None
    gap = gaps.from_packages(["mmdebstrap", "ovmf"])
    assert gap is not None
    assert gap.markers == ("guest", "client", "namespace")
    assert gap.reason.endswith(
        "as root, run: apt-get install --yes --no-install-recommends mmdebstrap ovmf"
    )
