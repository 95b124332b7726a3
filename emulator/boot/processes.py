"""Child processes that end with us: each in a session of its own, ended as a group."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from emulator.errors import BootError, ImdsError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds: mmdebstrap unmounts and removes a whole system.
TIDY_UP = 60.0


class Interrupted(ImdsError):
    """A signal has asked us to stop."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals that ask us to stop break in, as ``Interrupted``, so that all is tidied."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise Interrupted(f"interrupted by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_patiently(
    command: Sequence[str], cwd: Path, stdin: str, environment: dict[str, str]
) -> tuple[int, str]:
    """Run ``command``; give its exit status and what it wrote.

    When something breaks in, it and its children are asked to end and given time to tidy up; the
    rest is forced. They are a session of their own, which a terminal's Ctrl-C does not reach.
    """
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(stdin)
        except BaseException:
            _end_group(process)
            raise
        return process.returncode, output


def _end_group(process: subprocess.Popen[str]) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=TIDY_UP)
    finally:
        # Also when somebody grows impatient, and asks us a second time.
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


class Interruption:
    """Remembers the signal that asked us to stop; looked at between steps, never in one.

    While it is installed no such signal breaks into a step, so that what was begun is always known
    and can be undone.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.signal = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Take the signals; give them back afterwards."""
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = self.signal or number


class Child:
    """A running program whose output goes to a file."""

    def __init__(self, command: Sequence[str], output: Path, inherit: Sequence[int] = ()) -> None:
        """Start ``command``, which keeps the descriptors ``inherit``; BootError if it cannot."""
        self.name = Path(command[0]).name
        self.output = output
        try:
            with output.open("ab") as sink:
                self._process = subprocess.Popen(
                    [*_leash(), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    pass_fds=inherit,
                    start_new_session=True,
                )
        except OSError as error:
            raise BootError(f"{error.filename or command[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    def status(self) -> int | None:
        """Give its exit status (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 15) -> str:
        """Give the end of what it wrote."""
        try:
            text = self.output.read_text("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-count:])

    def stop(self, grace: float) -> int:
        """Ask it to end, force it after ``grace`` seconds; give its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(grace)
        # Also when it has ended: members of its group may have outlived it.
        _signal_group(self.pid, signal.SIGKILL)
        return self._process.wait()


def _leash() -> list[str]:
    """Give the prefix by which a program ends with us even when we are killed outright."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    # Had we been killed before the wish was made, nobody would tell: the parent would be another.
    still_ours = 'test "$PPID" = "$0" && exec "$@"'
    return [setpriv, "--pdeathsig", "TERM", "--", "sh", "-c", still_ours, str(os.getpid())]


class Tail:
    """Reads what is appended to a file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of ``path``."""
        self._path = path
        self._offset = 0

    def read(self) -> bytes:
        """Give the bytes since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(data)
        return data
