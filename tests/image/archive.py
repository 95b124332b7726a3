"""An image as a registry would store it, read without a container engine."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import IO, Any, NamedTuple


class File(NamedTuple):
    """What an image has at a path: the tar's own words, and a file's first bytes."""

    entry: tarfile.TarInfo
    head: bytes


class Archive:
    """An OCI archive: ``config`` as its builder wrote it, ``files`` by paths without a slash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, File] = {}
        self._texts: dict[str, bytes] = {}
        with tarfile.open(path) as archive:
            (manifest,) = _json(archive, "index.json")["manifests"]
            manifest = _json(archive, _blob(manifest))
            self.config = _json(archive, _blob(manifest["config"]))["config"]
            self.compressed = sum(layer["size"] for layer in manifest["layers"])
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=_open(archive, _blob(layer))) as files:
                    self._read(files)
        self.size = sum(file.entry.size for file in self.files.values())

    def _read(self, files: tarfile.TarFile) -> None:
        for entry in files:
            stream = files.extractfile(entry) if entry.isfile() else None
            head = stream.read(16) if stream else b""
            name = entry.name.removeprefix("./").rstrip("/")
            self.files[name] = File(entry, head)
            if stream and name.startswith(("etc/", "var/")):
                self._texts[name] = head + stream.read()

    def text(self, path: str) -> str:
        """Give the content of a file below ``etc`` or ``var``."""
        return self._texts[path].decode()


def _blob(description: dict[str, str]) -> str:
    return f"blobs/{description['digest'].replace(':', '/')}"


def _json(archive: tarfile.TarFile, name: str) -> Any:
    return json.load(_open(archive, name))


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    assert stream is not None
    return stream
