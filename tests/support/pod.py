"""A pod's projected volume, laid out as the kubelet does, and a server that reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.process import Serving

if TYPE_CHECKING:
    from collections.abc import Mapping


class Volume:
    """Files below ``folder``; ``..data`` leads to all of them at once, and each to its place."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Write ``files`` by their paths in the volume."""
        self.folder = folder
        self._number = 0
        folder.mkdir(parents=True)
        self.replace(files)

    def replace(self, files: Mapping[str, bytes]) -> None:
        """Write other files beside, swap, and remove those that were there."""
        before = self.folder / f"..{self._number}"
        self._number += 1
        version = self.folder / f"..{self._number}"
        for path, content in files.items():
            (version / path).parent.mkdir(parents=True, exist_ok=True)
            (version / path).write_bytes(content)
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        for name in {Path(path).parts[0] for path in files}:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        shutil.rmtree(before, ignore_errors=True)


def described(vm: str, **annotations: str) -> dict[str, bytes]:
    """Give the downward-API files of a pod of the VM ``vm``."""
    lines = [f"imds.kubevirt.io/{k}={json.dumps(v)}\n" for k, v in sorted(annotations.items())]
    return {
        "annotations": "".join(lines).encode(),
        "labels": f'vm.kubevirt.io/name="{vm}"\n'.encode(),
    }


def started(
    folder: Path, volume: Volume, namespace: str, account: str = "default", *more: str
) -> Serving:
    """Start the server of a pod in ``namespace``, with a sidecar's flags and environment.

    ``more`` are further flags. ``folder`` is the server's own.
    """
    folder.mkdir(exist_ok=True)
    keys = volume.folder / "keys"
    flags = [
        text
        for flag, name in (
            ("--session-key", "session.key"),
            ("--identity-cert", "identity.crt"),
            ("--identity-key", "identity.key"),
        )
        if (keys / name).exists()
        for text in (flag, str(keys / name))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMDS_NAMESPACE", namespace)
        patch.setenv("IMDS_SA_NAME", account)
        return Serving(folder, "--podinfo", str(volume.folder), *flags, *more)
