"""The checkout's own virtual environment, made and filled only when something changed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from emulator.setup.errors import SetupError

PROBE = "import pip, sys; sys.exit(sys.version_info < (3, 11))"


class Environment:
    """``.venv`` in the checkout at ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / ".venv/bin"
        self.python = self.bin / "python"
        self._stamp = root / ".venv/.installed"

    def ensure(self, extra: str = "") -> None:
        """Have the project installed there, editable, with ``extra``."""
        if self._works() and self._stamp_text() in {self._key(extra), self._key("dev")}:
            return
        if not self._works():
            print("Making a virtual environment in .venv", flush=True)
            self._run(sys.executable, "-m", "venv", "--clear", str(self.root / ".venv"))
        print("Installing Python packages into .venv (the first time takes minutes)", flush=True)
        project = f"{self.root}[{extra}]" if extra else str(self.root)
        self._stamp.unlink(missing_ok=True)
        self._run(str(self.python), "-m", "pip", "install", "--quiet", "--editable", project)
        self._stamp.write_text(self._key(extra))

    def _key(self, extra: str) -> str:
        return f"{hashlib.sha256((self.root / 'pyproject.toml').read_bytes()).hexdigest()} {extra}"

    def _stamp_text(self) -> str:
        return self._stamp.read_text() if self._stamp.exists() else ""

    def _works(self) -> bool:
        """Tell whether the interpreter is there, recent enough, and has pip."""
        try:
            done = subprocess.run([self.python, "-c", PROBE], capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0

    def _run(self, *command: str) -> None:
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            raise SetupError(f"this failed, see above: {' '.join(command)}")
