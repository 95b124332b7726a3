"""One YAML file -> one instance."""

from __future__ import annotations

import os.path

from emulator.errors import ConfigError, Problem
from emulator.model.build import Built, build
from emulator.model.decode import Outside
from emulator.model.document import Unfit, quoted
from emulator.model.vocabulary import Vocabulary
from emulator.sources.compose import compose
from emulator.sources.files import Files

MAX_BYTES = 4 << 20


def read_file(path: str, vocabulary: Vocabulary, files: Files) -> Built:
    """Give the instance in the file at ``path``. Raises ``ConfigError``."""
    folder = os.path.dirname(path)  # noqa: PTH120 - text in, text out

    def locate(name: str) -> str:
        return os.path.abspath(os.path.join(folder, name))  # noqa: PTH100, PTH118 - as above

    def read(name: str, limit: int) -> bytes:
        try:
            return files.read(locate(name), limit)
        except Unfit as bad:
            raise Unfit(f"{quoted(name)}, {bad.found}", bad.allowed) from None

    root = compose(text(path, files), path)
    return build(root, vocabulary, Outside(read=read, locate=locate))


def text(path: str, files: Files) -> str:
    """Give the text of the file at ``path``. Raises ``ConfigError``."""
    line = 0
    try:
        return files.read(path, MAX_BYTES).decode("utf-8-sig")
    except Unfit as bad:
        found, allowed = bad.found, bad.allowed
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found, allowed = f"the byte 0x{error.object[error.start]:02x}", "UTF-8"
    raise ConfigError(Problem(file=path, line=line, field="", found=found, allowed=allowed))
