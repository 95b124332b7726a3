"""A launcher pod with a sidecar and a guest, as most tests here want one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.launcher import Bridge, Launcher, Masquerade
from tests.support.namespaces import Namespace
from tests.support.sidecar import volumes

IPV4, IPV6, LINK_LOCAL = "169.254.169.254", "fd00:ec2::254", "fe80::a9fe:a9fe"
DOOR = "168.63.129.16"
OURS = (IPV4, IPV6, LINK_LOCAL, DOOR)
CABLE_MAC = "02:a9:fe:a9:fe:fe"

ANNOTATIONS = {
    "imds.kubevirt.io/enabled": "true",
    "imds.kubevirt.io/dialects": "openstack,ec2,kubevirt,gce,azure",
}

KEY = "n6iD6d0p1E3cO5gq0oJrQm0v5m3l2b9mKq7a4d8Yx1s="


@contextmanager
def folder(files: Mapping[str, str] | None = None) -> Iterator[Path]:
    """Give a folder with a pod's volumes, which everybody may enter: pytest's own are closed."""
    made = Path(tempfile.mkdtemp(prefix="imds-"))
    try:
        yield volumes(made, ANNOTATIONS, files=files)
    finally:
        shutil.rmtree(made)


ARGUMENTS = ("--door=wireserver",)


class World:
    """The pod with its network, its volumes, its sidecar and its guest."""

    def __init__(self, launcher: Launcher, volumes: Path, *, addressed: bool) -> None:
        """Start them in the order in which they come to be in a cluster."""
        self.launcher, self.volumes = launcher, volumes
        self.sidecar = launcher.sidecar(volumes, *ARGUMENTS)
        try:
            self.sidecar.waiting()
            launcher.hand_over()
            self.sidecar.listening()
            self.guest = launcher.boot(addressed=addressed)
        except BaseException:
            self.sidecar.kill()
            raise

    def restart(self) -> None:
        """Kill the sidecar, and start it as the kubelet would."""
        self.sidecar.kill()
        self.sidecar = self.launcher.sidecar(self.volumes, *ARGUMENTS).listening()


@contextmanager
def world(
    binding: Masquerade | Bridge, *, addressed: bool = True, rp_filter: int = 0, ipv6: bool = True
) -> Iterator[World]:
    """Make a world; the guest is ``addressed`` by DHCP, the pod checks sources (``rp_filter``)."""
    with folder() as made, Launcher(binding, rp_filter=rp_filter, ipv6=ipv6) as launcher:
        it = World(launcher, made, addressed=addressed)
        try:
            yield it
        finally:
            it.sidecar.kill()


def get(
    namespace: Namespace, address: str, path: str = "/v1/identity", *flags: str, zone: str = "eth0"
) -> tuple[int, str]:
    """Ask as a program in ``namespace``: give the status, 0 if there was no answer, and the body.

    ``zone`` is the link that a link-local address belongs to.
    """
    host = address
    if address.count(":") > 1:
        host = f"[{address}%25{zone}]" if address.startswith("fe80:") else f"[{address}]"
    flags = ("--header", "Metadata: true", "--header", "Metadata-Flavor: Google", *flags)
    common = ("curl", "--silent", "--globoff", "--max-time", "5", "--write-out", "\n%{http_code}")
    printed = namespace.run(*common, *flags, f"http://{host}{path}", check=False)
    body, _, status = printed.rpartition("\n")
    return int(status), body
