"""The process, asked over real TLS by real clients."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import requests
import yaml

from emulator.sources.annotations import ANNOTATIONS, PREFIX
from tests.support.process import DEADLINE
from tests.webhook.process import Running, reviewed
from tests.webhook.support import fixture, instance, machine, marked

VALUES = Path(__file__).resolve().parents[2] / "deploy/chart/values.yaml"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("webhook")) as found:
        yield found


def until(ready: Any, seconds: float = 30) -> None:
    """Wait until ``ready`` gives something true."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if ready():
            return
        pause.wait(0.05)
    raise AssertionError("it never became true")


# ------------------------------------------------------------------------------------- answers


def test_a_pod_is_completed(running: Running) -> None:
    given = fixture("pod/launcher")
    response = running.ask(given)
    assert response.pop("uid") == "705ab4f5-6393-11e8-b7cc-42010a800002"
    patch = json.loads(base64.b64decode(response.pop("patch")))
    assert response == {"allowed": True, "patchType": "JSONPatch"}
    assert jsonpatch.apply_patch(given, patch) == fixture("pod/launcher.changed")


def test_a_mistake_is_told_as_kubectl_shows_it(running: Running) -> None:
    whole = machine(marked(tags="a", colour="red"))
    for path in ("/mutate", "/validate"):
        response = running.ask(whole, path)
        assert response["allowed"] is False
        status = response["status"]
        assert (status["code"], status["reason"], status["status"]) == (422, "Invalid", "Failure")
        details = status["details"]
        assert (details["group"], details["kind"]) == ("kubevirt.io", "VirtualMachine")
        assert details["name"] == "vm1"
        assert [cause["reason"] for cause in details["causes"]] == ["FieldValueInvalid"] * 2
        lines = [f"{cause['field']}: {cause['message']}" for cause in details["causes"]]
        assert status["message"].split("\n") == lines
        assert lines[1] == (
            f'spec.template.metadata.annotations[{PREFIX}tags]: found "a"; allowed: a JSON '
            "object, or key=value,... with each key once"
        )


def test_validation_changes_nothing_and_warns(running: Running) -> None:
    response = running.ask(instance(), "/validate")
    assert response["allowed"] is True
    assert "patch" not in response
    assert len(response["warnings"]) == 1
    assert "patch" in running.ask(instance())


def test_a_change_is_validated(running: Running) -> None:
    asked = reviewed(machine(marked(tags="a")), "UPDATE")
    asked["request"]["oldObject"] = machine()
    answer = requests.post(
        f"{running.url}/validate", json=asked, verify=running.authority.path, timeout=DEADLINE
    )
    assert answer.json()["response"]["allowed"] is False


def test_what_is_not_ours_is_let_in(running: Running) -> None:
    other = {"kind": "Deployment", "metadata": {"name": "x"}}
    assert running.ask(other)["allowed"] is True


def test_decisions_are_logged_without_what_owners_wrote(running: Running) -> None:
    secret = "correct horse battery staple"
    annotations = marked(user_data_base64=secret, tags=secret, interfaces='[{"mac": "zz"}]')
    whole = instance(annotations, volumes=[{"name": "imds"}])
    whole["metadata"]["name"] = "logged"
    running.ask(whole)
    until(lambda: any(line["name"] == "logged" for line in running.decisions()))
    [line] = [line for line in running.decisions() if line["name"] == "logged"]
    assert line.pop("time") > 1.7e9
    assert 0 < line.pop("duration_us") < 5e6
    place = f"metadata.annotations[{PREFIX}"
    assert set(line.pop("reason").split(", ")) == {
        f"{place}tags]",
        f"{place}interfaces]",
        f"{place}user-data-base64]",
        "spec.volumes[0]",
    }
    assert line == {
        "path": "/mutate",
        "kind": "VirtualMachineInstance",
        "namespace": "shop",
        "name": "logged",
        "operation": "CREATE",
        "allowed": False,
        "changed": False,
        "warnings": 0,
    }
    running.ask(fixture("pod/launcher"))
    running.ask(fixture("pod/launcher"), "/validate")
    until(lambda: sum(d["name"] == "virt-launcher-vm1-" for d in running.decisions()) >= 2)
    made, checked = [d for d in running.decisions() if d["name"] == "virt-launcher-vm1-"][-2:]
    assert (made["path"], made["changed"]) == ("/mutate", True)
    assert (checked["path"], checked["changed"]) == ("/validate", False)
    assert secret not in "\n".join(running.lines)


# ------------------------------------------------------------------------------------ refusals


def posted(running: Running, body: bytes, **headers: str) -> requests.Response:
    return requests.post(
        f"{running.url}/mutate",
        data=body,
        headers={"Content-Type": "application/json", **headers},
        verify=running.authority.path,
        timeout=DEADLINE,
    )


BETA = {"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}
DEEP = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":%s}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "this is no AdmissionReview of admission.k8s.io/v1"),
        (b"{", "this is no AdmissionReview"),
        (b"\xff\xfe", "this is no AdmissionReview"),
        (b"[]", "Expected `object`, got `array`"),
        (json.dumps(BETA).encode(), '"AdmissionReview of admission.k8s.io/v1beta1"; send'),
        (b'{"kind":"100%s"}', '"100%s of "; send AdmissionReview of admission.k8s.io/v1'),
        (DEEP % b"{}", "missing required field `uid`"),
        (DEEP % b'{"uid": 5}', "Expected `str`, got `int` - at `$.uid`"),
        (DEEP % (b'{"uid":"u","kind":{"kind":"Pod"},"operation":"CREATE","object":' + b"[" * 9999),
         "nested too deeply"),
        (DEEP % (b'{"a":' * 5000), "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_review_is_told_so(running: Running, body: bytes, said: str) -> None:
    answer = posted(running, body)
    assert (answer.status_code, answer.text.count("\n")) == (400, 1)
    assert answer.text.startswith("400 ")
    assert said in answer.text


def test_nesting_that_is_read_is_no_trouble(running: Running) -> None:
    """Whatever depth is read can be compared too."""
    for depth in (100, 900, 960, 970, 975, 980, 985, 990, 995, 1000):
        body = reviewed(instance(), "UPDATE")
        text = json.dumps(body)
        deep = "[" * depth + "]" * depth
        for key in ('"cpu"', '"other"'):
            spec = f'"spec": {{{key}: {deep}, '
            whole = text.replace('"spec": {', spec).replace(
                '"oldObject": null', f'"oldObject": {{"metadata": {{}}, {spec}"x": 1}}}}'
            )
            answer = requests.post(
                f"{running.url}/validate",
                data=whole,
                headers={"Content-Type": "application/json"},
                verify=running.authority.path,
                timeout=DEADLINE,
            )
            assert answer.status_code in {200, 400}, (depth, answer.text)


def test_other_content_and_other_methods_are_refused(running: Running) -> None:
    answer = posted(running, b"{}", **{"Content-Type": "text/yaml"})
    assert (answer.status_code, answer.text) == (415, "415 send application/json\n")
    answer = running.get("/mutate")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    answer = requests.post(
        f"{running.url}/healthz", verify=running.authority.path, timeout=DEADLINE
    )
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    answer = running.get("/")
    assert answer.status_code == 404
    assert answer.text == "404 ask /mutate, /validate, /healthz or /readyz\n"
    assert answer.headers["Server"] == "imds-emulator"


def test_a_body_beyond_what_the_api_server_takes_is_not_read(running: Running) -> None:
    with running.connected() as connection:
        head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 3145729\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert running.get("/healthz").text == "OK\n"


def begun(running: Running, path: str, number: int) -> list[ssl.SSLSocket]:
    """Begin as many requests as large as may be, and end none of them."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    found = []
    for _ in range(number):
        connection = running.connected()
        connection.sendall(f"{head}Content-Length: {3 << 20}\r\n\r\n".encode())
        with suppress(OSError):  # answered early, and hung up on
            connection.sendall(b" " * ((3 << 20) - 1))
        found.append(connection)
    return found


def memory(running: Running, what: str = "VmRSS") -> int:
    """Give the KiB that the process holds, or with ``VmHWM`` the most that it ever held."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0])


def test_whatever_is_asked_fits_into_the_pod_s_memory(tmp_path: Path) -> None:
    """One VM's owner must not be able to end the webhooks for all others."""
    packed = base64.b64encode(gzip.compress(bytes(16 << 20))).decode()
    many = "{a: &a [" + "x," * 300 + "], b: [" + "*a," * 300 + "]}"
    names = [row.name for row in ANNOTATIONS if row.spelling in {"yaml", "pairs", "dialects"}]
    annotations = marked(user_data_gzip=packed, vendor_data_gzip=packed)
    annotations |= {PREFIX + name: many for name in (*names, "ec2", "ec2_v1", "gce", "azure")}
    whole = machine(annotations)
    whole["spec"]["template"]["metadata"]["unread"] = [[]] * 950_000
    body = json.dumps(reviewed(whole), separators=(",", ":")).encode()
    values = yaml.safe_load(VALUES.read_text())
    limit = re.fullmatch(r"(\d+)Mi", values["webhook"]["resources"]["limits"]["memory"])
    assert limit
    with Running(tmp_path) as running:
        connections = begun(running, "/mutate", 8)
        assert posted(running, body).json()["response"]["allowed"] is False
        assert memory(running, "VmHWM") >> 10 < int(limit[1]) * 3 // 4
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("path", ["/nothing", "/healthz", "/readyz"])
def test_a_body_where_none_is_wanted_is_not_kept(running: Running, path: str) -> None:
    before = memory(running)
    connections = begun(running, path, 20)
    assert running.ask(instance())["allowed"] is True
    assert memory(running) - before < 20 << 10  # of 60 MiB
    for connection in connections:
        connection.close()


def test_nobody_keeps_the_api_server_out_with_large_requests(running: Running) -> None:
    connections = begun(running, "/mutate", 12)
    for path in ("/mutate", "/validate"):
        assert running.ask(instance(), path)["allowed"] is True
    for connection in connections:
        connection.close()
    assert running.ask(fixture("pod/launcher"))["allowed"] is True


def test_half_a_request_leaves_nothing_behind(running: Running) -> None:
    with running.connected() as connection:
        head = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n{")
    assert running.ask(instance())["allowed"] is True


# ----------------------------------------------------------------------------------------- TLS


def handshake(running: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    openssl = shutil.which("openssl")
    assert openssl
    return subprocess.run(
        [
            *(openssl, "s_client", "-connect", f"127.0.0.1:{running.port}"),
            *("-CAfile", running.authority.path, "-verify_ip", "127.0.0.1"),
            *("-verify_return_error", "-brief", *arguments),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_is_content(running: Running, version: str) -> None:
    done = handshake(running, f"-tls{version}")
    assert done.returncode == 0, done.stderr
    assert "Verification: OK" in done.stderr
    assert f"Protocol version: TLSv{version.replace('_', '.')}" in done.stderr


def test_old_protocols_are_refused(running: Running) -> None:
    done = handshake(running, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert done.returncode == 1
    assert "protocol version" in done.stderr


def test_probes_are_answered(running: Running) -> None:
    assert running.get("/healthz").text == "OK\n"
    answer = running.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "problems": {}})
    assert "Connection" not in answer.headers
    headed = requests.head(
        f"{running.url}/readyz", verify=running.authority.path, timeout=DEADLINE
    )
    assert (headed.status_code, headed.text) == (200, "")


def test_another_certificate_is_taken_over(tmp_path: Path) -> None:
    with Running(tmp_path) as running, requests.Session() as session:
        assert running.shown() == running.serial
        running.ask(instance(), session=session)  # and stays connected
        files, serial = running.authority.pair()
        running.mount.put(files)
        until(lambda: running.shown() == serial)
        assert running.ask(instance(), session=session)["allowed"] is True
        assert running.ask(instance())["allowed"] is True


def test_a_broken_certificate_is_not(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        files, _ = running.authority.pair()
        others, serial = running.authority.pair()
        for broken in (
            {**files, "tls.key": others["tls.key"]},
            {"tls.crt": b"", "tls.key": b""},
            {"tls.crt": b"no PEM", "tls.key": files["tls.key"]},
        ):
            said = len(running.lines)
            running.mount.put(broken)
            until(
                lambda said=said: any("stays in service" in line for line in running.lines[said:])
            )
            assert running.shown() == running.serial
            answer = running.get("/readyz")
            # All replicas have the same files: not ready, they would all be out of service.
            assert answer.status_code == 200
            assert "a PEM certificate chain" in answer.json()["problems"]["certificate"]
            assert running.ask(instance())["allowed"] is True
        running.mount.put(others)
        until(lambda: running.shown() == serial)
        assert running.get("/readyz").json() == {"ready": True, "problems": {}}


# ------------------------------------------------------------------------------ start and end


def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with Running(tmp_path) as running, running.connected() as begun, running.connected() as idle:
        body = json.dumps(reviewed(instance())).encode()
        head = (
            "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        begun.sendall(head.encode() + body[:100])
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        running.process.terminate()
        until(lambda: not _accepts(running.port))
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = idle.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Connection: close" in answer
        begun.sendall(body[100:])
        answer = begun.recv(10000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"allowed":true' in answer
        assert running.process.wait(DEADLINE) == 0


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_quiet_levels_log_no_decisions(tmp_path: Path) -> None:
    with Running(tmp_path, "--log-level", "warning") as running:
        running.ask(instance())
        assert running.stop() == 0
    assert running.decisions() == []


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emulator", "webhook", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env=os.environ,
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (None, "command line: --settings: found"),
        (b"\xff", "bytes that are not UTF-8; allowed: a YAML file"),
        (b"imagePullPolicy: Never\nresourcess: {}\n", "settings.yaml:2: resourcess: found the"),
    ],
)
def test_broken_settings_stop_the_start(tmp_path: Path, settings: bytes | None, said: str) -> None:
    if settings is not None:
        (tmp_path / "settings.yaml").write_bytes(settings)
    path = str(tmp_path / "settings.yaml")
    done = started("--settings", path, "--cert", "none.crt", "--key", "none.key")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_certificate_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("image: a:1\n")
    path = str(tmp_path / "settings.yaml")
    done = started("--settings", path, "--cert", "none.crt", "--key", "none.key")
    assert done.returncode == 2
    assert "--cert: found none.crt, none.key: " in done.stderr


def test_a_port_that_is_taken_stops_the_start(tmp_path: Path, listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    running = Running(tmp_path, "--listen", f"127.0.0.1:{number}")
    try:
        assert running.process.wait(DEADLINE) == 1
    finally:
        running.__exit__()
    assert f"cannot listen on 127.0.0.1:{number}" in running.lines[-1]
