"""Session tokens as guests meet them: over HTTP, over restarts, over servers, and in no log."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.server.process import DEADLINE, Serving, until

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
PATH = "/latest/meta-data/instance-id"


@pytest.fixture
def description(tmp_path: Path) -> Path:
    path = tmp_path / "web-1.yaml"
    path.write_text("name: web-1\ndialects: [ec2]\n")
    return path


def put(server: Serving) -> str:
    url = server.url + "/latest/api/token"
    answer = requests.put(url, headers={TTL: "600"}, timeout=DEADLINE)
    answer.raise_for_status()
    return answer.text


def status(server: Serving, token: str) -> int:
    return server.get(PATH, **{TOKEN: token}).status_code


def test_a_token_outlives_the_server_and_is_in_none_of_its_files(
    tmp_path: Path, description: Path
) -> None:
    with Serving(tmp_path, str(description)) as server:
        token = put(server)
        assert status(server, token) == 200
        assert status(server, "x" + token[1:]) == 401
        server.stop()
        said = "\n".join(server.lines)
    with Serving(tmp_path, str(description)) as server:
        assert status(server, token) == 200
        said += "\n".join(server.lines)
    said += (tmp_path / "audit.jsonl").read_text()
    for start in range(len(token) - 8):
        assert token[start : start + 8] not in said


def test_servers_with_one_key_know_each_others_tokens(tmp_path: Path, description: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    shared = (str(description), "--session-key", str(tmp_path / "key"))
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    with Serving(folders[0], *shared) as one, Serving(folders[1], *shared) as two:
        token = put(one)
        assert status(two, token) == 200
        with Serving(folders[2], str(description)) as stranger:
            assert status(stranger, token) == 401


def test_the_policy_acts_without_a_restart(tmp_path: Path, description: Path) -> None:
    with Serving(tmp_path, str(description)) as server:
        token = put(server)
        assert server.get(PATH).status_code == 401
        description.write_text("name: web-1\ndialects: {ec2: {tokens: optional}}\n")
        until(lambda: server.get(PATH).status_code == 200)
        assert status(server, token) == 200
        description.write_text("name: web-1\ndialects: [ec2]\nsession_epoch: 1\n")
        until(lambda: status(server, token) == 401)
        assert status(server, put(server)) == 200
        description.write_text("name: web-1\ndialects: {ec2: {endpoint: off}}\n")
        until(lambda: server.get("/").status_code == 403)


def test_the_answer_with_a_token_is_the_last_on_its_connection(
    tmp_path: Path, description: Path
) -> None:
    with Serving(tmp_path, str(description)) as server:
        place = urlsplit(server.url)
        assert place.hostname
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=DEADLINE)
        connection.request("PUT", "/latest/api/token", headers={TTL: "60"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        token = answer.read().decode()
        assert connection.sock is None
        for _ in range(2):
            connection.request("GET", PATH, headers={TOKEN: token})
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Connection")) == (200, None)
            assert answer.getheader(TTL) in {"59", "60"}
            answer.read()
        connection.close()


def test_a_limit_that_cannot_act_is_said_at_start(tmp_path: Path, description: Path) -> None:
    where = ("--listen", f"unix:{tmp_path / 's'}", "--listen", "127.0.0.1:0")
    warning = "hop limits do not act on unix sockets, nor behind one: web-1"
    with Serving(tmp_path, str(description), *where) as server:
        until(lambda: any(warning in line for line in server.lines))
    description.write_text("name: web-1\ndialects: [openstack]\n")
    with Serving(tmp_path, str(description), *where) as server:
        assert not any("hop limits" in line for line in server.lines)


def test_the_printed_example_gets_its_token_first(tmp_path: Path, description: Path) -> None:
    with Serving(tmp_path, str(description)) as server:
        until(lambda: any(line.startswith("  curl") for line in server.lines))
        [line] = [line for line in server.lines if "/latest/meta-data/" in line]
        assert f"-H '{TTL}: 60' {server.url}/latest/api/token" in line


def test_a_program_is_run_only_where_the_operator_allows_it(
    tmp_path: Path, description: Path
) -> None:
    description.write_text(
        "name: web-1\ndialects: {ec2: {tokens: optional}}\n"
        "ec2: {credentials: {role: web, provider: process, command: [false]}}\n".replace(
            "[false]", "['false']"
        )
    )
    refused = Serving(tmp_path, str(description))
    assert refused.process.wait(DEADLINE) == 2
    refused.__exit__()
    assert any("serve --allow-credential-process" in line for line in refused.lines)
    with Serving(tmp_path, str(description), "--allow-credential-process") as server:
        path = "/latest/meta-data/iam/security-credentials/web"
        assert server.get(path).json()["Code"] == "Failed"


def test_a_bad_certificate_stops_the_start(tmp_path: Path, description: Path) -> None:
    (tmp_path / "bad.pem").write_text("none")
    bad = str(tmp_path / "bad.pem")
    flags = ("--identity-cert", bad, "--identity-key", bad)
    server = Serving(tmp_path, str(description), *flags)
    assert server.process.wait(DEADLINE) == 2
    server.__exit__()
    assert any("--identity-cert" in line for line in server.lines)


def test_identity_is_signed_when_it_is_asked_for(tmp_path: Path) -> None:
    with Serving(tmp_path, "fixtures/instances/sample.yaml") as server:
        identity = "/latest/dynamic/instance-identity"
        assert not (tmp_path / "state/identity.pem").exists()
        first = server.get(f"{identity}/rsa2048")
        assert first.text == server.get(f"{identity}/rsa2048").text
        assert first.text.startswith("MII")
        assert first.headers["Last-Modified"]
        assert (tmp_path / "state/identity.pem").exists()
