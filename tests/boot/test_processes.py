from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulator.boot.processes import (
    Child,
    Interrupted,
    Interruption,
    Tail,
    interruptible,
    run_patiently,
)
from emulator.errors import BootError


def test_what_cannot_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="/nowhere/log: No such file"):
        Child(["true"], Path("/nowhere/log"))
    child = Child(["/nowhere/qemu"], tmp_path / "log")
    assert finished(child) != 0
    assert "/nowhere/qemu" in child.last_lines()


def finished(child: Child) -> int:
    while child.status() is None:
        time.sleep(0.01)
    return child.stop(0)


def test_a_child_does_not_outlive_us(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys\n"
        "from emulator.boot.processes import Child\n"
        f"child = Child(['sleep', '600'], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL
    gone(int(done.stdout))


def gone(pid: int) -> None:
    end = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_child_writes_is_kept(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "echo one; echo two >&2; exit 3"], tmp_path / "log")
    assert finished(child) == 3
    assert child.last_lines() == "one\ntwo"
    assert child.last_lines(1) == "two"
    (tmp_path / "log").unlink()
    assert child.last_lines() == ""


def test_a_child_is_asked_first_then_forced(tmp_path: Path) -> None:
    polite = Child(["sleep", "600"], tmp_path / "log")
    assert polite.status() is None
    assert polite.stop(10) == -signal.SIGTERM
    stubborn = Child(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], tmp_path / "b"
    )
    while stubborn.last_lines() != "ready":
        time.sleep(0.01)
    assert stubborn.stop(0.1) == -signal.SIGKILL


def test_children_of_a_child_go_with_it(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "sleep 600 & echo $!; exit 0"], tmp_path / "log")
    finished(child)
    grandchild = int(child.last_lines())
    child.stop(0)
    gone(grandchild)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_inherits_only_what_it_is_given(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = Child(
        [sys.executable, "-c", f"import os; os.write({writer}, b'here')"],
        tmp_path / "log",
        (writer,),
    )
    os.close(writer)
    assert os.read(reader, 10) == b"here"
    os.close(reader)
    assert finished(child) == 0


def test_an_interruption_is_remembered_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stop = Interruption()
    with stop.installed():
        assert stop.signal == 0
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_may_break_in() -> None:
    with pytest.raises(Interrupted, match="SIGHUP"), interruptible():
        os.kill(os.getpid(), signal.SIGHUP)


def test_a_patient_run_gives_status_and_output(tmp_path: Path) -> None:
    status, output = run_patiently(["sh", "-c", "cat; echo e >&2; exit 4"], tmp_path, "in\n", {})
    assert (status, output) == (4, "in\ne\n")


def test_a_patient_run_lets_the_program_tidy_up(tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, sys, os, time\n"
        "def stop(*a): pathlib.Path('tidied').touch(); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(Interrupted), interruptible():
        run_patiently([sys.executable, "-c", script], tmp_path, "", {})
    assert (tmp_path / "tidied").exists()


def test_an_interrupted_run_leaves_no_process(tmp_path: Path) -> None:
    # The shell answers only once its child has ended: asking the shell alone would take minutes.
    script = (
        "trap 'rm -r tree' EXIT; trap 'exit 143' TERM; mkdir tree; "
        "(trap '' TERM; echo $$ > group; exec sleep 600) >/dev/null 2>&1 & "
        "until [ -s group ]; do :; done; "
        # From the child: a signal that comes while a shell forks may pass its child by.
        f"sh -c 'kill -TERM {os.getpid()}; exec sleep 600'"
    )
    began = time.monotonic()
    with pytest.raises(Interrupted), interruptible():
        run_patiently(["sh", "-c", script], tmp_path, "", dict(os.environ))
    assert time.monotonic() - began < 30
    assert not (tmp_path / "tree").exists()
    group = int((tmp_path / "group").read_text())
    # What was forced is still seen for a moment.
    end = time.monotonic() + 10
    while members(group) and time.monotonic() < end:
        time.sleep(0.01)
    assert members(group) == []


def members(group: int) -> list[int]:
    """Give the living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(number) == group and state != "Z":
                    found.append(int(entry.name))
    return found


def test_a_tail_gives_what_is_new(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.read() == b""
    with (tmp_path / "log").open("ab", buffering=0) as file:
        file.write(b"one")
        assert tail.read() == b"one"
        file.write(b"two")
        assert tail.read() == b"two"
    assert tail.read() == b""
