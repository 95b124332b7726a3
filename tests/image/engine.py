"""buildah and podman, with whatever they keep in a folder that goes away with them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from emulator.boot.images.build import privilege

PATIENCE = 60  # seconds; containers start within one

# No namespace of control groups and no systemd is asked for, so this works inside a container too.
# Locks in files: those in shared memory belong to all of a user's podmans. Port 80 is open to
# everybody in a container's own network, as it is with Docker and containerd.
_CONTAINERS = """\
[containers]
default_sysctls = ["net.ipv4.ip_unprivileged_port_start=0"]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/tmp"
[engine.runtimes]
runc = ["/usr/sbin/runc", "/usr/bin/runc"]
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
# What an image's configuration says of a system that mmdebstrap has made, as Debian's own does.
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Engine:
    """Makes and runs containers; a context, after which nothing of them is left."""

    def __init__(self) -> None:
        # Not below pytest's folders: podman bears no long paths here.
        self.folder = Path(tempfile.mkdtemp(prefix="imds-image-"))
        (self.folder / "tmp").mkdir()
        for name, text in (("containers", _CONTAINERS), ("storage", _STORAGE)):
            (self.folder / f"{name}.conf").write_text(text.format(folder=self.folder))
        # By flags too: without root, the file alone leaves images where the user has his own.
        self._storage = (
            f"--root={self.folder}/graph",
            f"--runroot={self.folder}/run",
            "--storage-driver=overlay",
        )
        self._environment = os.environ | {
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "TMPDIR": f"{self.folder}/tmp",
            "XDG_RUNTIME_DIR": f"{self.folder}/tmp",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.podman("pod", "rm", "--all", "--force", "--time=0")
        self.podman("rm", "--all", "--force", "--time=0")
        prefix = privilege().prefix
        if prefix:  # without root it has left a process that holds its namespaces
            self.podman("system", "migrate")
        subprocess.run([*prefix, "rm", "-rf", self.folder], check=True)

    def buildah(self, *arguments: str | Path) -> str:
        return _succeeded(self._tried("buildah", *arguments))

    def podman(self, *arguments: str | Path) -> str:
        return _succeeded(self.tried(*arguments))

    def tried(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run podman, which may fail."""
        return self._tried("podman", *arguments)

    def _tried(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [program, *self._storage, *map(str, arguments)]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        )

    def take(self, tar: Path, name: str) -> str:
        """Make the file system in ``tar`` the image ``name``."""
        self.podman("import", "--quiet", "--change", f"ENV {_PATH}", tar, name)
        return name

    def load(self, archive: Path, name: str) -> str:
        """Make the image in an OCI ``archive`` the image ``name``."""
        self.podman("tag", self.podman("pull", "--quiet", f"oci-archive:{archive}"), name)
        return name

    def once(self, image: str, *arguments: str, program: str = "") -> str:
        """Run ``image``, or a ``program`` in it, to its end; give what it printed."""
        options = ["--rm", "--network=none", "--read-only"]
        options += [f"--entrypoint={program}"] if program else []
        return self.podman("run", *options, image, *arguments)

    def python(self, image: str, code: str, *arguments: str) -> str:
        """Run a Python program in ``image``."""
        return self.once(image, "-c", code, *arguments, program="python")

    def logged(self, container: str, wanted: str) -> str:
        """Wait until ``container`` has said ``wanted``; give all that it has said."""
        deadline = time.monotonic() + PATIENCE
        while True:
            done = self.tried("logs", container)
            said = done.stdout + done.stderr
            if wanted in said:
                return said
            running = self.podman("inspect", "--format={{.State.Running}}", container)
            assert running == "true", said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)


def _succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()
