"""``serve`` as its user runs it: sample, sources, reload, signals, and what stops its start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from emulator.model.config import ServeConfig
from tests.server.process import DEADLINE, Serving, until

MINIMAL = "fixtures/instances/minimal.yaml"


def test_without_arguments_the_sample_answers_the_lines_that_are_printed(tmp_path: Path) -> None:
    with Serving(tmp_path) as server:
        until(lambda: any(line.startswith("  curl") for line in server.lines))
        commands = [line.strip() for line in server.lines if line.startswith("  curl")]
        assert len(commands) >= 3
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", f"{command} -sSf"], capture_output=True, check=False
            )
            assert done.returncode == 0, (command, done.stderr)
            assert done.stdout


def test_the_operator_has_health_readiness_and_keys(tmp_path: Path) -> None:
    with Serving(tmp_path, MINIMAL) as server:
        assert requests.get(server.operator + "/healthz", timeout=DEADLINE).text == "OK\n"
        ready = requests.get(server.operator + "/readyz", timeout=DEADLINE)
        assert (ready.status_code, ready.json()["not_ready"]) == (200, {})
        server.get("/v1/token", Metadata="true").raise_for_status()
        keys = requests.get(server.operator + "/openid/v1/jwks", timeout=DEADLINE).json()
        assert [key["alg"] for key in keys["keys"]] == ["RS256"]
        assert requests.get(server.url + "/readyz", timeout=DEADLINE).status_code == 404


def test_a_change_is_served_within_a_second_and_a_broken_one_never(tmp_path: Path) -> None:
    description = tmp_path / "web-1.yaml"
    description.write_text("name: web-1\n")
    with Serving(tmp_path, str(description)) as server:

        def name() -> object:
            return server.get("/openstack/latest/meta_data.json").json()["name"]

        assert name() == "web-1"
        description.write_text("name: web-2\n")
        until(lambda: name() == "web-2")
        description.write_text("nme: web-3\n")
        ready = server.operator + "/readyz"
        until(lambda: requests.get(ready, timeout=DEADLINE).status_code == 503)
        assert "nme" in requests.get(ready, timeout=DEADLINE).json()["not_ready"]["descriptions"]
        assert name() == "web-2"
        description.write_text("name: web-4\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: name() == "web-4")
        assert requests.get(ready, timeout=DEADLINE).status_code == 200


def test_a_pods_folder_is_served_through_its_swaps(tmp_path: Path) -> None:
    def written(number: int) -> Path:
        folder = tmp_path / "pod" / f"..{number}"
        folder.mkdir(parents=True)
        lines = [f'imds.kubevirt.io/{name}="{value}"' for name, value in notes(number)]
        (folder / "annotations").write_text("\n".join(lines))
        (folder / "labels").write_text('vm.kubevirt.io/name="vm1"')
        return folder

    def notes(number: int) -> list[tuple[str, str]]:
        return [("enabled", "true"), ("hostname", f"host-{number}")]

    def swap(folder: Path) -> None:
        link = tmp_path / "pod" / "..link"
        link.symlink_to(folder.name)
        link.rename(tmp_path / "pod" / "..data")

    swap(written(1))
    for name in ("annotations", "labels"):
        (tmp_path / "pod" / name).symlink_to(f"..data/{name}")
    with Serving(tmp_path, "--podinfo", str(tmp_path / "pod")) as server:
        assert server.get("/latest/meta-data/hostname").text == "host-1"
        swap(written(2))
        until(lambda: server.get("/latest/meta-data/hostname").text == "host-2")


def test_a_look_at_the_source_comes_in_time_for_a_second() -> None:
    assert ServeConfig().reload_seconds <= 0.5


def test_several_are_told_apart_by_their_address_and_their_socket(tmp_path: Path) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    own = tmp_path / "two.sock"
    (folder / "one.yaml").write_text("name: one\npeer: {addresses: [127.0.0.1]}\n")
    (folder / "two.yaml").write_text(f"name: two\npeer: {{socket: {own}}}\n")
    with Serving(tmp_path, str(folder)) as server:
        assert server.get("/openstack/latest/meta_data.json").json()["name"] == "one"
        over_socket = ["curl", "-sS", "--unix-socket", str(own)]
        url = "http://169.254.169.254/openstack/latest/meta_data.json"
        done = subprocess.run([*over_socket, url], capture_output=True, check=True)
        assert json.loads(done.stdout)["name"] == "two"
        port = server.url.rpartition(":")[2]
        stranger = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
        done = subprocess.run(
            [*stranger, "--interface", "127.0.0.9", f"http://127.0.0.1:{port}/openstack"],
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"404"
        third = tmp_path / "three.sock"
        (folder / "three.yaml").write_text(f"name: three\npeer: {{socket: {third}}}\n")
        until(third.exists)
        (folder / "three.yaml").unlink()
        until(lambda: not third.exists())
    assert server.process.returncode != 0


def test_sigterm_drains_and_leaves_no_socket(tmp_path: Path) -> None:
    own = tmp_path / "guest.sock"
    operator = tmp_path / "operator.sock"
    with Serving(
        tmp_path,
        *(MINIMAL, "--listen", "127.0.0.1:0", "--listen", f"unix:{own}"),
        operator=f"unix:{operator}",
    ) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as idle:
            assert server.stop() == 0
            assert idle.recv(1) == b""
        assert not own.exists()
        assert not operator.exists()


def test_sigterm_lets_a_large_answer_arrive_whole(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (8 << 20))
    description = tmp_path / "web-1.yaml"
    description.write_text("name: web-1\nuser_data: {file: large}\n")
    with Serving(tmp_path, str(description)) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as guest:
            guest.sendall(b"GET /openstack/latest/user_data HTTP/1.0\r\nHost: metadata\r\n\r\n")
            head = guest.recv(1024)
            server.process.send_signal(signal.SIGTERM)
            size = len(head.partition(b"\r\n\r\n")[2])
            while part := guest.recv(1 << 20):
                size += len(part)
        assert size == 8 << 20
        assert server.process.wait(DEADLINE) == 0


def test_sighup_takes_templates_over_and_goes_on_in_a_new_log(tmp_path: Path) -> None:
    own = tmp_path / "templates" / "openstack"
    own.mkdir(parents=True)
    template = own / "vendor_data2.json.j2"
    template.write_text('{"static": {"round": 1}}')
    with Serving(tmp_path, MINIMAL, "--templates", str(tmp_path / "templates")) as server:

        def now() -> object:
            return server.get("/openstack/latest/vendor_data2.json").json()["static"]["round"]

        assert now() == 1
        template.write_text('{"static": {"round": 2}}')
        server.log.rename(tmp_path / "old.jsonl")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: now() == 2)
        assert server.seen()
        template.write_text("{% if %}")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "template error" in "\n".join(server.lines))
        assert now() == 2
        ready = requests.get(server.operator + "/readyz", timeout=DEADLINE)
        assert "template error" in ready.json()["not_ready"]["descriptions"]


def test_a_socket_in_the_way_is_said_until_it_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "vms"
    folder.mkdir()
    own = tmp_path / "later" / "one.sock"
    (folder / "one.yaml").write_text(f"name: one\npeer: {{socket: {own}}}\n")
    with Serving(tmp_path, str(folder)) as server:
        ready = server.operator + "/readyz"
        answer = requests.get(ready, timeout=DEADLINE)
        assert (answer.status_code, str(own) in answer.text) == (503, True)
        own.parent.mkdir()
        until(lambda: requests.get(ready, timeout=DEADLINE).status_code == 200)
        assert own.exists()


def test_state_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    with Serving(tmp_path, MINIMAL, state="/proc/nowhere") as server:
        ready = server.operator + "/readyz"
        until(lambda: "issuer" in requests.get(ready, timeout=DEADLINE).text)
        assert server.get("/v1/token", Metadata="true").status_code == 500


def test_inherited_descriptors_are_served_and_systemd_is_told(tmp_path: Path) -> None:
    notify = tmp_path / "notify"
    starter = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.dup2(int(sys.argv.pop(1)), 3);"
        "os.execv(sys.executable, [sys.executable, '-m', 'emulator', 'serve', *sys.argv[1:]])"
    )
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor,
        socket.create_server(("127.0.0.1", 0)) as given,
    ):
        supervisor.bind(str(notify))
        supervisor.settimeout(DEADLINE)
        environ = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(notify)}
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", starter, str(given.fileno())),
                *(MINIMAL, "--operator", "off"),
                *("--state", str(tmp_path)),
            ],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[given.fileno()],
        )
        try:
            assert supervisor.recv(64) == b"READY=1"
            url = f"http://127.0.0.1:{given.getsockname()[1]}/healthz"
            assert requests.get(url, timeout=DEADLINE).text == "OK"
            process.terminate()
            assert supervisor.recv(64) == b"STOPPING=1"
        finally:
            process.terminate()
            said = process.communicate(timeout=DEADLINE)[1]
            assert process.returncode == 0
        assert said.count("listening on") == 1


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Start a server that should not stay."""
    return subprocess.run(
        [sys.executable, "-m", "emulator", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = start(MINIMAL, "--listen", where, "--operator", "off", "--state", str(tmp_path))
    assert done.returncode == 1
    assert f"cannot listen on {where}: something else listens there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml"),
        ([MINIMAL, "--listen", "nowhere"], '--listen: found "nowhere"'),
        ([MINIMAL, "--operator", "0.0.0.0:1"], "--operator-cert"),
        ([MINIMAL, "--operator-cert", "missing.pem"], "a PEM certificate chain"),
        ([MINIMAL, "--templates", "missing"], "no such folder"),
        ([MINIMAL, "--proxy", "10.0.0.1"], "--proxy-secret-file"),
        (
            [MINIMAL, "--proxy", "router", "--proxy-secret-file", MINIMAL],
            '--proxy: found "router"',
        ),
        ([MINIMAL, "--host", "imds.example:80"], '--host: found "imds.example:80"'),
        (["--podinfo", "missing"], "missing"),
    ],
)
def test_wrong_input_stops_the_start_and_is_named(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    operator = () if "--operator" in arguments else ("--operator", "127.0.0.1:0")
    listen = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    done = start(*arguments, *operator, *listen, "--state", str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_templates_replaces_and_adds_documents(tmp_path: Path) -> None:
    own = tmp_path / "templates" / "openstack"
    own.mkdir(parents=True)
    (own / "vendor_data2.json.j2").write_text('{"static": {"cluster": "{{ instance.name }}"}}')
    (own / "site.json.j2").write_text('{"region": {{ instance.placement.region | json }}}')
    with Serving(tmp_path, MINIMAL, "--templates", str(tmp_path / "templates")) as server:
        data = server.get("/openstack/latest/vendor_data2.json").json()
        assert data == {"static": {"cluster": "web-1"}}
        assert server.get("/openstack/latest/site.json").json() == {"region": "local"}
        assert "site.json" in server.get("/openstack/latest").text.split("\n")


def test_the_operator_speaks_tls_beyond_loopback(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    given = ("--operator-cert", str(certificate), "--operator-key", str(key))
    with Serving(tmp_path, MINIMAL, *given) as server:
        url = server.operator.replace("http:", "https:") + "/healthz"
        assert requests.get(url, timeout=DEADLINE, verify=str(certificate)).text == "OK\n"


def test_headers_and_bodies_are_bounded(tmp_path: Path) -> None:
    with Serving(tmp_path, MINIMAL) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as flood:
            flood.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (20 << 10))
            assert flood.recv(100) == b""
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as flood:
            flood.sendall(b"POST / HTTP/1.1\r\nHost: metadata\r\nContent-Length: 65537\r\n\r\n")
            assert flood.recv(100).startswith(b"HTTP/1.1 400 ")
        assert server.get("/healthz").text == "OK"


def test_no_secret_is_logged(tmp_path: Path) -> None:
    secret = "hunter2-very-secret"
    description = tmp_path / "web-1.yaml"
    token = tmp_path / "token"
    token.write_text("c2VjcmV0.c2VjcmV0.c2VjcmV0")
    description.write_text(
        f"name: web-1\nuser_data: {secret}\nadmin_pass: {secret}\ntokens: [{{file: {token}}}]\n"
    )
    with Serving(tmp_path, str(description), "--log-level", "debug") as server:
        assert secret in server.get("/openstack/latest/user_data").text
        assert "c2VjcmV0" in server.get("/v1/token", Metadata="true").text
        requests.post(
            server.url + "/openstack/latest/password", secret, timeout=DEADLINE
        ).raise_for_status()
        server.get(f"/openstack?{secret}", Authorization=secret)
        assert server.stop() == 0
        said = "\n".join(server.lines) + server.log.read_text()
    assert len(server.seen()) == 4
    assert secret not in said
    assert "c2VjcmV0" not in said


def test_the_names_that_it_goes_by_can_be_given(tmp_path: Path) -> None:
    names = ("--host", "IMDS.example.", "--issuer-url", "https://issuer.example/realm")
    path = "/latest/meta-data/instance-id"
    with Serving(tmp_path, MINIMAL, *names) as server:
        assert server.get(path).status_code == 200
        assert server.get(path, Host="imds.example:80").status_code == 200
        assert server.get(path, Host="issuer.example").status_code == 403
        for host, status in (
            ("imds.example", 200),
            ("issuer.example", 200),
            ("page.example", 403),
        ):
            answer = requests.get(
                f"{server.operator}/healthz", headers={"Host": host}, timeout=DEADLINE
            )
            assert answer.status_code == status, host
        assert [line["reason"] for line in server.seen()] == ["", "", "foreign-host"]


def test_the_name_counts_on_a_guest_s_socket_but_not_on_the_operator_s(tmp_path: Path) -> None:
    own, operator = tmp_path / "guest.sock", tmp_path / "operator.sock"
    listen = ("--listen", "127.0.0.1:0", "--listen", f"unix:{own}")
    with Serving(tmp_path, MINIMAL, *listen, operator=f"unix:{operator}"):
        statuses = []
        for path, where in (
            (own, "page.example/openstack"),
            (own, "metadata/openstack"),
            (operator, "page.example/readyz"),
        ):
            command = ["curl", "-sS", "-o", str(tmp_path / "body"), "-w", "%{http_code}"]
            command += ["--unix-socket", str(path), f"http://{where}"]
            done = subprocess.run(command, capture_output=True, check=True)
            statuses.append(done.stdout)
        assert statuses == [b"403", b"200", b"200"]
