"""The image in a VM's pod: the container that admission adds, and another beside it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.dialects import VOCABULARY
from emulator.sources.admission import described
from emulator.sources.annotations import PREFIX
from emulator.webhook.injection import CONTAINER, PODINFO, container, volumes
from emulator.webhook.settings import Settings
from tests.image.engine import Engine
from tests.support.pod import Volume
from tests.support.pod import described as downward

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.client, pytest.mark.namespace]

HOSTNAME = "web-1.example"
ADDRESS = "169.254.169.254"
# bash is all that a small Debian has to make a request with.
ASK = f"""
exec 3<>/dev/tcp/{ADDRESS}/80 && printf 'GET {{}} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3
"""
# What a network binding plugin may leave: the address is there, and nothing is to be done.
PLUGIN = f"""
from pyroute2 import IPRoute
with IPRoute() as ip:
    ip.addr("add", index=1, address="{ADDRESS}", prefixlen=32)
"""
# What KubeVirt leaves, as far as a sidecar waits for it.
HANDLER = """
from pyroute2 import IPRoute
with IPRoute() as ip:
    ip.link("add", ifname="k6t-eth0", kind="bridge")
    ip.link("add", ifname="tap0", kind="veth", peer="guest")
    bridge, tap, guest = (ip.link_lookup(ifname=name)[0] for name in ("k6t-eth0", "tap0", "guest"))
    ip.link("set", index=tap, master=bridge)
    for index in (guest, tap, bridge):
        ip.link("set", index=index, state="up")
"""


class Pod:
    """A pod with the container that admission injects, and ``compute`` beside it."""

    def __init__(self, engine: Engine, image: str, base: str, folder: Path) -> None:
        self._engine, self._image, self._base, self._folder = engine, image, base, folder
        self._name = "virt-launcher-web-1"

    def start(self, plumbing: str, code: str) -> None:
        """Start it for ``plumbing``; a Python program with NET_ADMIN does what others would."""
        text = {"hostname": HOSTNAME, "plumbing": plumbing}
        annotations = {f"{PREFIX}{key}": value for key, value in text.items()}
        Volume(self._folder / PODINFO, downward("web-1", **text))
        found = described(annotations, VOCABULARY, name="web-1", namespace="shop")
        settings = Settings(image=self._image, image_pull_policy="Never")
        prepare = {
            "name": "prepare",
            "image": self._image,
            "imagePullPolicy": "Never",
            "command": ["python", "-c", code.strip()],  # podman mangles a leading newline
            "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
        }
        compute = {
            "name": "compute",
            "image": self._base,
            "imagePullPolicy": "Never",
            "command": ["sleep", "600"],
        }
        spec = {
            "restartPolicy": "Never",
            # A plugin is done before there is a container, KubeVirt's bridge comes after.
            "initContainers": [prepare] if plumbing == "plugin" else [],
            "containers": [
                _played(container(found, "web-1", settings)),
                compute,
                *([] if plumbing == "plugin" else [prepare]),
            ],
            "volumes": [
                {"name": PODINFO, "hostPath": {"path": str(self._folder / PODINFO)}}
                if volume["name"] == PODINFO
                else {"name": volume["name"], "emptyDir": {}}
                for volume in volumes(found.wishes, settings)
            ],
        }
        metadata = {"name": self._name}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        file = self._folder / "pod.yaml"
        file.write_text(json.dumps(pod))  # which is YAML
        self._engine.podman("play", "kube", "--network=none", file)

    def log(self, wanted: str) -> str:
        """Wait until the sidecar has said ``wanted``."""
        return self._engine.logged(f"{self._name}-{CONTAINER}", wanted)

    def inside(self, name: str, *command: str) -> str:
        """Run ``command`` in the container ``name``."""
        return self._engine.podman("exec", f"{self._name}-{name}", *command)

    def stop(self) -> None:
        self._engine.podman("pod", "rm", "--force", "--time=0", self._name)


def _played(injected: dict[str, Any]) -> dict[str, Any]:
    """Give a container as podman can play it: no native sidecar, and only root may set limits."""
    values = {"IMDS_NAMESPACE": "shop", "IMDS_SA_NAME": "default", "IMDS_VM_NAME": "web-1"}
    names = [one["name"] for one in injected["env"]]
    unknown = {"restartPolicy"} if os.geteuid() == 0 else {"restartPolicy", "resources"}
    left = {key: value for key, value in injected.items() if key not in unknown}
    return {**left, "env": [{"name": name, "value": values[name]} for name in names]}


@pytest.fixture
def pod(engine: Engine, image: str, base: str, tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(engine, image, base, tmp_path)
    yield pod
    pod.stop()


@pytest.mark.parametrize(("plumbing", "code"), [("sidecar", HANDLER), ("plugin", PLUGIN)])
def test_the_container_beside_is_answered(pod: Pod, plumbing: str, code: str) -> None:
    pod.start(plumbing, code)
    pod.log("listening on")
    answer = pod.inside("compute", "bash", "-c", ASK.format("/openstack/latest/meta_data.json"))
    head, _, body = answer.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert json.loads(body)["hostname"] == HOSTNAME
    status = pod.inside(CONTAINER, "python", "-c", "print(open('/proc/1/status').read())")
    held = dict(re.findall(r"^(Uid|Cap...|NoNewPrivs|Seccomp):\s*(\S+)", status, re.MULTILINE))
    assert held["Uid"] == "65532"
    assert int(held["CapPrm"], 16) == int(held["CapEff"], 16) == 0
    assert (held["NoNewPrivs"], held["Seccomp"]) == ("1", "2")
