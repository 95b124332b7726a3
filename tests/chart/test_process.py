"""The webhooks' process, started as the rendered pod starts it, with the files that it mounts."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.chart.helm import MINIMAL, NAMESPACE, Helm, Object, only

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = f"imds-emulator.{NAMESPACE}.svc"
VIRTUAL_MACHINE = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachine",
    "metadata": {"name": "web-1", "namespace": "shop"},
    "spec": {
        "runStrategy": "Always",
        "template": {
            "metadata": {"annotations": {"imds.kubevirt.io/enable": "true"}},
            "spec": {"domain": {"devices": {}}},
        },
    },
}


def laid_out(found: list[Object], folder: Path) -> None:
    """Make the pod's one volume as the kubelet does: behind a link, so that it can be swapped."""
    (volume,) = only(found, "Deployment")["spec"]["template"]["spec"]["volumes"]
    inner = folder / "..2026_01_01"
    for source in volume["projected"]["sources"]:
        ((kind, wanted),) = source.items()
        if kind == "secret":
            data = only(found, "Secret", wanted["name"])["data"]
            files = {name: b64decode(text) for name, text in data.items()}
        else:
            data = only(found, "ConfigMap", wanted["name"])["data"]
            files = {name: text.encode() for name, text in data.items()}
        for item in wanted["items"]:
            path = inner / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[item["key"]])
    (folder / "..data").symlink_to(inner.name)
    for name in os.listdir(inner):  # noqa: PTH208  names are all that is wanted
        (folder / name).symlink_to(f"..data/{name}")


@contextmanager
def running(found: list[Object], folder: Path, listener: socket.socket) -> Iterator[None]:
    """Run the container's command on a socket of the test's."""
    (container,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    arguments = [
        f"--listen=fd:{listener.fileno()}"
        if argument.startswith("--listen=")
        else argument.replace(f"={mount['mountPath']}/", f"={folder}/")
        for argument in container["args"]
    ]
    with (folder.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "emulator", *arguments],
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0, (folder.parent / "log").read_text()


def test_the_api_server_is_answered(tmp_path: Path, listener: socket.socket) -> None:
    found = Helm("4", tmp_path).template(MINIMAL)
    folder = tmp_path / "configuration"
    folder.mkdir()
    laid_out(found, folder)
    (container,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    (webhook, *_) = only(found, "ValidatingWebhookConfiguration")["webhooks"]
    bundle = b64decode(webhook["clientConfig"]["caBundle"]).decode()
    with running(found, folder, listener):
        for probe in ("readinessProbe", "livenessProbe"):
            path = container[probe]["httpGet"]["path"]
            assert ask(listener, bundle, "GET", path)[0] == 200
        status, answer = ask(
            listener, bundle, "POST", webhook["clientConfig"]["service"]["path"], review()
        )
    assert status == 200
    response = answer["response"]
    assert response["allowed"] is False
    assert "imds.kubevirt.io/enabled" in response["status"]["message"]


def review() -> bytes:
    """Ask as the API server does, of an annotation that is misspelt."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachine"},
        "resource": {"group": "kubevirt.io", "version": "v1", "resource": "virtualmachines"},
        "name": "web-1",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "admin"},
        "object": VIRTUAL_MACHINE,
        "oldObject": None,
        "dryRun": False,
    }
    kind = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    return json.dumps({**kind, "request": request}).encode()


def ask(
    listener: socket.socket, bundle: str, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    """Ask as the API server does: by the Service's name, believing the bundle and nobody else."""
    context = ssl.create_default_context(cadata=bundle)
    with (
        socket.create_connection(listener.getsockname(), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        connection = http.client.HTTPConnection(HOST)
        connection.sock = secured
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if body else text
